from __future__ import annotations

from pathlib import Path

import pytest

from modelcycle_runtime.cache.settings import Settings, parse_settings, quantity
from modelcycle_runtime.errors import UserError


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("10Gi", 10 << 30), ("500Mi", 500 << 20), ("1.5Gi", 3 << 29), ("2G", 2_000_000_000), ("64k", 64_000)],
)
def test_sizes_are_written_as_kubernetes_does(text: str, size: int) -> None:
    assert quantity(text) == size


def test_the_settings_of_the_contract() -> None:
    assert parse_settings('{"dir": "/cache", "size": "10Gi"}') == Settings(Path("/cache"), 10 << 30, 8080, 9090)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param('{"size": "1Gi"}', id="no folder"),
        *[
            pytest.param(f'{{"dir": "/c", "size": "{size}"}}', id=size or "no size")
            for size in ("", "Gi", "0", "-1Gi", "1Zi", "10GiB", "NaN", "Infinity")
        ],
    ],
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="MODELCYCLE_CACHE"):
        parse_settings(text)
