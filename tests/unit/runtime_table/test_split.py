from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcycle_runtime.errors import DataError
from modelcycle_runtime.split import Holdout, dataset_record, holdout_of, parse_as_of, parse_holdout, split
from modelcycle_runtime.table import UNKNOWN_YET, Table, TableColumns

SECOND = 1_000_000_000


def _table(times: list[int], known: list[int] | None = None) -> Table:
    """Rows at ``times`` (seconds), each row's label its place."""
    time = np.array(sorted(times), dtype=np.int64) * SECOND
    known_at = time if known is None else np.maximum(np.array(known, dtype=np.int64) * SECOND, time)
    rows = np.arange(len(time))
    features = rows.reshape(-1, 1).astype(float)
    return Table(TableColumns("t", "y", ("x",)), time, known_at, rows.astype(float), features, rows.astype(np.uint64))


@pytest.mark.parametrize(
    ("times", "as_of", "holdout", "train", "withheld"),
    [
        pytest.param([1, 2, 3, 4], None, Holdout(), [0, 1, 2, 3], [], id="without anything all are trained on"),
        pytest.param([1, 2, 3, 4], 3, Holdout(), [0, 1, 2], [], id="a row at asOf is known, a later one is not"),
        pytest.param([1, 2, 3, 4], 3, Holdout(rows=1), [0, 1], [2], id="the last row before asOf is withheld"),
        pytest.param([1, 2, 3, 4], None, Holdout(rows=1, gap_rows=2), [0], [3], id="a gap of rows"),
        pytest.param([1, 2, 3, 4], 4, Holdout(seconds=2), [0, 1], [2, 3], id="withheld by time: later than asOf - 2 s"),
        pytest.param([1, 2, 3, 4], 9, Holdout(seconds=2), [0, 1, 2, 3], [], id="nothing in the withheld time"),
        pytest.param([1, 2, 3, 4], None, Holdout(seconds=2), [0, 1], [2, 3], id="without asOf from the last row"),
        pytest.param([1, 2, 3, 5], None, Holdout(rows=1, gap_seconds=3), [0, 1], [3], id="a gap of time"),
        pytest.param(
            [1, 2, 2, 3], None, Holdout(rows=2), [0], [2, 3], id="a tie with the first withheld row is left out"
        ),
        pytest.param([1, 2], None, Holdout(rows=5), [], [0, 1], id="fewer rows than are to be withheld"),
        pytest.param([1, 2], None, Holdout(rows=1, gap_rows=9), [], [1], id="a gap longer than the table"),
        pytest.param([], 3, Holdout(rows=1), [], [], id="an empty table"),
    ],
)
def test_split(times: list[int], as_of: int | None, holdout: Holdout, train: list[int], withheld: list[int]) -> None:
    parts = split(_table(times), None if as_of is None else as_of * SECOND, holdout)
    assert parts.train.label.tolist() == train
    assert parts.withheld.label.tolist() == withheld


def test_a_row_counts_when_it_became_known() -> None:
    parts = split(_table([1, 2, 3], known=[9, 2, 3]), 3 * SECOND, Holdout())
    assert parts.train.label.tolist() == [1, 2]
    assert parts.refused == 1


def test_a_row_without_a_label_is_refused_also_without_as_of() -> None:
    table = _table([1, 2])
    table.label[1], table.known[1] = np.nan, UNKNOWN_YET
    parts = split(table, None, Holdout(rows=1))
    assert (parts.train.label.size, parts.withheld.label.tolist(), parts.refused) == (0, [0], 1)


HOLDOUTS = st.builds(
    Holdout, rows=st.integers(0, 20), gap_rows=st.integers(0, 5), gap_seconds=st.integers(0, 9)
) | st.builds(Holdout, seconds=st.integers(0, 40), gap_rows=st.integers(0, 5), gap_seconds=st.integers(0, 9))
SECONDS = st.integers(0, 50)


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=40), st.none() | SECONDS, HOLDOUTS)
def test_no_row_gets_out_that_was_not_known(rows: list[tuple[int, int]], as_of: int | None, holdout: Holdout) -> None:
    table = _table([time for time, _ in rows], [known for _, known in rows])
    end = None if as_of is None else as_of * SECOND
    parts = split(table, end, holdout)
    for part in (parts.train, parts.withheld):
        assert end is None or (not (part.time > end).any() and not (part.known > end).any())
    assert parts.refused == (0 if end is None else (table.known > end).sum())
    assert len(parts.train) + len(parts.withheld) + parts.refused + parts.purged == len(table)


@given(st.lists(SECONDS, max_size=40), st.none() | SECONDS, HOLDOUTS)
def test_training_ends_before_what_is_withheld(times: list[int], as_of: int | None, holdout: Holdout) -> None:
    parts = split(_table(times), None if as_of is None else as_of * SECOND, holdout)
    if not len(parts.train) or not len(parts.withheld):
        return
    apart = parts.withheld.time[0] - parts.train.time[-1]
    assert apart > 0
    assert apart >= holdout.gap_seconds * SECOND
    assert parts.withheld.label[0] - parts.train.label[-1] > holdout.gap_rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, Holdout(), id="absent"),
        pytest.param('{"rows": 60}', Holdout(rows=60), id="rows"),
        pytest.param('{"seconds": 60, "gapRows": 2}', Holdout(seconds=60, gap_rows=2), id="time, and a gap of rows"),
        pytest.param('{"rows": 60, "gapSeconds": 2}', Holdout(rows=60, gap_seconds=2), id="rows, and a gap of time"),
    ],
)
def test_holdouts_of_the_contract(text: str | None, expected: Holdout) -> None:
    assert parse_holdout(text) == expected


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({}, id="neither rows nor seconds"),
        pytest.param({"rows": 1, "seconds": 1}, id="both"),
        pytest.param({"rows": 1, "gapRows": 1, "gapSeconds": 1}, id="both gaps"),
        pytest.param({"rows": -1}, id="negative"),
        pytest.param({"rows": True}, id="not a number"),
        pytest.param({"rows": 1, "gap": 1}, id="an unknown field"),
    ],
)
def test_other_holdouts_are_refused(record: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="holdout: "):
        holdout_of(record)


def test_what_is_no_json_or_no_time_is_refused() -> None:
    with pytest.raises(DataError, match="holdout: not JSON"):
        parse_holdout("{")
    with pytest.raises(DataError, match="asOf: 'soon'"):
        parse_as_of("soon")
    assert parse_as_of(None) is None


def test_the_record_of_a_dataset() -> None:
    parts = split(_table([0, 1, 2, 3]), 2 * SECOND, Holdout(rows=1))
    record = dataset_record(parts)
    assert record.pop("digest") == parts.train.digest()
    assert record == {
        "version": 1,
        "rows": 2,
        "first": "1970-01-01T00:00:00Z",
        "last": "1970-01-01T00:00:01Z",
        "refused": 1,
        "withheld": 1,
        "columns": ["x"],
    }
