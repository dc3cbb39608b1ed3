from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcycle_runtime.errors import DataError
from modelcycle_runtime.table import UNKNOWN_YET, Table, TableColumns, nanoseconds, read_table, timestamp

COLUMNS = TableColumns(time="day", label="y")
HEAD = "day,a,b,y\n"
ROWS = "2008-01-02,1,2,3\n2008-01-01,4,,6\n"


def _read(path: Path, text: str, columns: TableColumns = COLUMNS) -> Table:
    path.write_text(text)
    return read_table(path, columns)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def test_rows_come_in_the_order_of_time_with_null_as_nan(path: Path) -> None:
    table = _read(path, HEAD + ROWS)
    assert table.feature_names == ("a", "b")
    assert [timestamp(int(t)) for t in table.time] == ["2008-01-01T00:00:00Z", "2008-01-02T00:00:00Z"]
    np.testing.assert_array_equal(table.features, [[4, np.nan], [1, 2]])
    assert table.label.tolist() == [6, 3]
    assert table.known.tolist() == table.time.tolist()


def test_features_come_in_the_order_asked_for(path: Path) -> None:
    table = _read(path, HEAD + ROWS, TableColumns("day", "y", features=("b", "a")))
    np.testing.assert_array_equal(table.features, [[np.nan, 4], [2, 1]])


def test_a_gzipped_table_reads_the_same(path: Path) -> None:
    packed = path.with_suffix(".csv.gz")
    packed.write_bytes(gzip.compress((HEAD + ROWS).encode()))
    assert read_table(packed, COLUMNS).digest() == _read(path, HEAD + ROWS).digest()


def test_a_row_is_known_when_its_column_says_so_but_never_before_its_time(path: Path) -> None:
    text = "day,known,y\n2008-01-01,2008-01-05,1\n2008-01-02,2007-01-01,1\n2008-01-03,,1\n2008-01-04,2008-01-04,\n"
    known = _read(path, text, TableColumns("day", "y", known="known")).known
    assert known.tolist() == [nanoseconds("2008-01-05"), nanoseconds("2008-01-02"), UNKNOWN_YET, UNKNOWN_YET]


def test_an_empty_table_has_its_columns(path: Path) -> None:
    table = _read(path, HEAD)
    assert (len(table), table.feature_names, table.features.shape) == (0, ("a", "b"), (0, 2))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "must name the columns", id="an empty file"),
        pytest.param("day,a,a,y\n", "each once", id="a column twice"),
        pytest.param("day,a\n2008-01-01,1\n", "has no column y; it has day, a", id="no label"),
        pytest.param(HEAD + "2008-01-01,1\n", "line 2 has 2 cells", id="a short line"),
        pytest.param(HEAD + "yesterday,1,2,3\n", "column day, row 1: 'yesterday'", id="a time that is none"),
        pytest.param(HEAD + "2300-01-01,1,2,3\n", "column day, row 1", id="a time after all others"),
        pytest.param(HEAD + ",1,2,3\n", "column day, row 1", id="a time that is missing"),
        pytest.param(HEAD + "2008-01-01,one,2,3\n", "column a: could not convert", id="a feature that is text"),
    ],
)
def test_what_is_wrong_is_said(path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        _read(path, text)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", gzip.compress(b"day,y\n2008-01-01,1")[:-6]], ids=["text", "cut off"]
)
def test_a_file_that_is_no_csv_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("table.csv.gz" if content.startswith(b"\x1f\x8b") else "table.csv")
    path.write_bytes(content)
    with pytest.raises(DataError, match="can't be read as CSV"):
        read_table(path, COLUMNS)


def test_a_file_that_is_missing_is_named(path: Path) -> None:
    with pytest.raises(DataError, match=r"table\.csv"):
        read_table(path, COLUMNS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1970-01-01", 0, id="a date is midnight in UTC"),
        pytest.param("1970-01-01T00:00:01Z", 10**9, id="a time in UTC"),
        pytest.param("1970-01-01T01:00:00+01:00", 0, id="a time with an offset"),
        pytest.param("1970-01-01 00:00:00.000001", 1000, id="a microsecond"),
        pytest.param("1969-12-31T23:59:59.5Z", -500_000_000, id="before 1970"),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected
    assert nanoseconds(timestamp(expected)) == expected


# --- digests ---------------------------------------------------------------------------------------------------------

FLOATS = st.floats(width=64, allow_nan=False)
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))
LINES = st.lists(
    st.tuples(DAYS, FLOATS, FLOATS, FLOATS),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[0],
)


def _text(lines: list[tuple[object, ...]], order: tuple[int, ...] = (0, 1, 2, 3)) -> str:
    table = [("day", "a", "b", "y"), *lines]
    return "".join(",".join(str(row[i]) for i in order) + "\n" for row in table)


@given(lines=LINES, data=st.data())
def test_digests_do_not_depend_on_the_order_of_lines_or_columns(
    lines: list[tuple[object, ...]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("order") / "t.csv"
    columns = TableColumns("day", "y", features=("a", "b"))
    straight = _read(path, _text(lines), columns)
    mixed = _read(path, _text(data.draw(st.permutations(lines)), tuple(data.draw(st.permutations(range(4))))), columns)
    assert mixed.digest() == straight.digest()
    assert mixed.digests.tolist() == straight.digests.tolist()


@given(lines=LINES, data=st.data())
def test_digests_change_with_any_bit(
    lines: list[tuple[object, ...]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bit") / "t.csv"
    before = _read(path, _text(lines))
    row, column = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(1, 3))
    changed: list[Any] = list(lines[row])
    changed[column] = float(np.nextafter(changed[column], np.inf if changed[column] <= 0 else -np.inf))
    after = _read(path, _text([*lines[:row], tuple(changed), *lines[row + 1 :]]))
    assert after.digest() != before.digest()
    assert len(set(after.digests.tolist()) ^ set(before.digests.tolist())) == 2


@pytest.mark.parametrize(
    ("text", "same"),
    [
        pytest.param("day,a,y\n2008-01-01,1.0,2\n", True, id="the same number, written otherwise"),
        pytest.param("day,b,y\n2008-01-01,1,2\n", False, id="a column of another name"),
        pytest.param("day,a,y\n2008-01-02,1,2\n", False, id="another time"),
        pytest.param("day,a,y\n2008-01-01,,2\n", False, id="null"),
        pytest.param("day,a,y,note\n2008-01-01,1,2,x\n", False, id="one more column"),
    ],
)
def test_the_digest_of_a_row(path: Path, text: str, same: bool) -> None:
    digest = _read(path, "day,a,y\n2008-01-01,1,2\n").digests[0]
    found = _read(path, text, TableColumns("day", "y", features=())).digests[0]
    assert bool(found == digest) is same


def test_the_digest_of_a_row_does_not_depend_on_what_was_asked_for(path: Path) -> None:
    narrow = _read(path, "day,a,b,y,note\n2008-01-01,1,2,3,fine\n", TableColumns("day", "y", features=("b",)))
    other = read_table(path, TableColumns("day", "a", features=("b", "y")))
    assert narrow.digests.tolist() == other.digests.tolist()
    assert narrow.digest() != other.digest()


def test_the_digest_of_a_row_is_frozen(path: Path) -> None:
    """Versions that are registered hold such digests: a change here makes the gate blind to them."""
    assert _read(path, HEAD + ROWS).digests.tolist() == FROZEN


FROZEN = [18355114784123792859, 18392873719623768839]
