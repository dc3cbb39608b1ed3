"""A script with a mistake in it."""

from modelcycle_runtime.train import training


def columns_of(table: dict[str, int]) -> int:
    return table["price"]


with training() as t:
    columns_of({"cost": 1})
