"""What `pytest e2e` can be told, and in which order it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

# Side by side first (each waits for pods most of the time), then what takes something away from everybody. Clusters of
# their own come between, since it takes minutes until all is at rest.
_ORDER = (
    "test_faults",
    "test_serving",
    "test_other_market",
    "test_loop",
    "test_outages",
    "test_scale",
    "test_local",
    "test_rest",
    "test_upgrade",
)
_SCENARIO_SECONDS = 3600


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("modelcycle")
    group.addoption("--cluster", default="modelcycle-e2e", help="name of the cluster (default %(default)s)")
    group.addoption("--keep-cluster", action="store_true", help="leave the cluster up at the end")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path))
    for item in items:
        if item.path.stem in _ORDER:
            # For what hangs; each wait has a limit of its own, and says what it waited for. Not the fixtures': on a
            # machine that has nothing yet, the first one builds a Kubernetes and the images.
            item.add_marker(pytest.mark.timeout(_SCENARIO_SECONDS, func_only=True))


def _place(path: Path) -> int:
    return _ORDER.index(path.stem) if path.stem in _ORDER else len(_ORDER)
