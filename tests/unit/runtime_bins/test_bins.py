from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelcycle_runtime.bins import (
    Baseline,
    Binner,
    Histogram,
    LossBaseline,
    bin_names,
    histogram,
    quantile_edges,
    read_baseline,
    write_baseline,
)
from modelcycle_runtime.errors import DataError

ANY_FLOAT = st.floats(width=32)
COLUMN = hnp.arrays(np.float64, st.integers(1, 200), elements=ANY_FLOAT)


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        pytest.param([0, 1, 1, 0, 1], (0.5,), id="a binary feature has one edge between its values"),
        pytest.param([1, 2, 3], (1.5, 2.5), id="few distinct values have a bin each"),
        pytest.param([], (), id="without data there is one bin"),
        pytest.param([np.nan, np.inf, -np.inf], (), id="without finite data there is one bin"),
        pytest.param([*[0.0] * 90, *range(1, 21)], (0.5, 9.5), id="a value with most of the mass is not split"),
        pytest.param(np.arange(100), tuple(np.arange(9.5, 99, 10)), id="distinct values make bins of equal mass"),
    ],
)
def test_edges(values: Any, edges: tuple[float, ...]) -> None:
    assert quantile_edges(values) == edges


@pytest.mark.parametrize("value", [0.1, 0.0, -7.3, 1e30])
def test_a_constant_feature_has_a_bin_of_its_own_also_after_rounding_to_float32(value: float) -> None:
    found = histogram("constant", [value] * 5)
    assert found.counts == (0, 5, 0, 0)
    again = Binner([found.edges]).count(np.array([[np.float32(value)]]))
    assert again.tolist() == [[0, 1, 0, 0]]


def test_nulls_are_counted_apart() -> None:
    assert histogram("x", [1.0, np.nan, 2.0]).counts == (1, 1, 1)


def test_bin_names_end_with_null() -> None:
    assert bin_names((0.5,)) == ("0", "1", "null")


@given(COLUMN, st.integers(2, 20))
def test_edges_increase_strictly_and_keep_equal_values_together(values: np.ndarray, bins: int) -> None:
    edges = quantile_edges(values, bins)
    assert len(edges) < max(bins, 3)
    assert all(left < right for left, right in pairwise(edges))


@given(COLUMN)
def test_every_row_is_counted_once(values: np.ndarray) -> None:
    found = histogram("x", values)
    assert sum(found.counts) == len(values)
    assert found.counts[-1] == np.isnan(values).sum()


@given(st.lists(COLUMN, min_size=1, max_size=5), st.integers(1, 50), st.data())
def test_columns_together_are_counted_as_each_alone(columns: list[np.ndarray], rows: int, data: st.DataObject) -> None:
    edges = [quantile_edges(column) for column in columns]
    values = data.draw(hnp.arrays(np.float64, (rows, len(columns)), elements=ANY_FLOAT))
    together = Binner(edges).count(values)
    for i, own in enumerate(edges):
        expected = [np.sum((values[:, i] >= low) & (values[:, i] < high)) for low, high in _intervals(own)]
        expected[-1] += np.sum(np.isposinf(values[:, i]))
        assert together[i, : len(own) + 1].tolist() == expected
        assert together[i, len(own) + 1] == np.isnan(values[:, i]).sum()


def _intervals(edges: tuple[float, ...]) -> list[tuple[float, float]]:
    bounds = [-np.inf, *edges, np.inf]
    return list(pairwise(bounds))


def test_more_rows_than_one_chunk_are_all_counted() -> None:
    values = np.random.default_rng(0).normal(size=(300_000, 2))
    binner = Binner([(0.0,), (-1.0, 1.0)])
    assert binner.count(values).sum() == 600_000


BASELINE = Baseline(
    rows=3,
    features=(Histogram("a", (0.5,), (1, 2, 0)),),
    predictions=(Histogram("output", (), (3, 0)),),
    loss=LossBaseline("Squared", 0.25, 3),
)


@pytest.mark.parametrize("baseline", [BASELINE, Baseline(0, (), ())])
def test_a_baseline_is_read_as_it_was_written(tmp_path: Path, baseline: Baseline) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(path, baseline)
    assert read_baseline(path) == baseline


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"version": 2}, "version must be 1", id="of another version"),
        pytest.param(
            {"features": [{"name": "a", "edges": [1, 0], "counts": [1, 1, 1, 0]}]}, "a: edges", id="edges fall"
        ),
        pytest.param(
            {"features": [{"name": "a", "edges": [1], "counts": [1]}]}, "a: needs 3 counts", id="count missing"
        ),
        pytest.param(
            {"features": [{"name": "a", "edges": [1], "counts": [1, -1, 0]}]}, "a: needs", id="negative count"
        ),
        pytest.param({"features": [{"edges": [1], "counts": [1, 1, 0]}]}, "KeyError 'name'", id="without a name"),
        pytest.param({"predictions": None}, "TypeError", id="without predictions"),
    ],
)
def test_a_broken_baseline_is_refused_with_the_field(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(path, BASELINE)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=said):
        read_baseline(path)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(b"\xff{")
    with pytest.raises(DataError, match="not JSON"):
        read_baseline(path)


def test_no_baseline_with_nan_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mean loss"):
        write_baseline(tmp_path / "b.json", Baseline(1, (), (), LossBaseline("Squared", float("nan"), 1)))
