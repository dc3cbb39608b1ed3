"""A table of labelled rows in a CSV file, and the digests by which two programs know that they saw the same rows.

The first line names the columns. Times are ISO 8601 (a date, or RFC 3339; without an offset they are UTC). An empty
cell is null. Training and gate both read through :func:`read_table`, so that neither sees what the other does not.

The digest of a row covers every cell of its line with the column's name, whatever part the column plays: a cell that
reads as a number counts as its float64, an empty one as NaN, any other as its text. So the digest does not depend on
which columns a program asked for, nor on the order of lines or columns, but on every bit of every value.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelcycle_runtime.errors import DataError

UNKNOWN_YET = np.iinfo(np.int64).max
"""When the row of an empty label becomes known: not yet."""

_NANOSECONDS = 1_000_000_000
_NULL = "nan"


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which columns play which part; ``features=None`` takes all others, in the order of the file."""

    time: str
    label: str
    features: tuple[str, ...] | None = None
    known: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of time, then of their digest. Times are nanoseconds since 1970, int64 [n]."""

    columns: TableColumns
    time: NDArray[np.int64]
    known: NDArray[np.int64]
    label: NDArray[np.float64]
    features: NDArray[np.float64]
    """[n, columns of features], null is NaN."""
    digests: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.columns.features or ()

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Table:
        return replace(
            self,
            time=self.time[rows],
            known=self.known[rows],
            label=self.label[rows],
            features=self.features[rows],
            digests=self.digests[rows],
        )

    def digest(self) -> str:
        """SHA-256 of the columns' parts and of the rows, 64 hexadecimal digits."""
        schema = [self.columns.time, self.columns.known, self.columns.label, list(self.feature_names)]
        found = hashlib.sha256(json.dumps(schema).encode())
        found.update(self.digests.astype("<u8").tobytes())
        found.update(_little_endian(self.time, self.known))
        found.update(_little_endian(self.label, self.features))
        return found.hexdigest()


def read_table(path: Path, columns: TableColumns) -> Table:
    """Reads a CSV file, gzipped if its name ends in ``.gz``.

    Raises:
        DataError: the file or a column is missing, a time can't be read, a feature or label is not a number; the
            message names file, column and line.
    """
    names, cells = _read_cells(path)
    parts = _resolved(path, names, columns)
    by_name = dict(zip(names, cells, strict=True))
    time = _times(path, parts.time, by_name[parts.time])
    label = _numbers(path, parts.label, by_name[parts.label])
    known = time if parts.known is None else _times(path, parts.known, by_name[parts.known], missing=UNKNOWN_YET)
    features = [_numbers(path, name, by_name[name]) for name in parts.features or ()]
    table = Table(
        columns=parts,
        time=time,
        known=np.where(np.isnan(label), UNKNOWN_YET, np.maximum(known, time)),
        label=label,
        features=np.column_stack(features) if features else np.empty((len(time), 0)),
        digests=_row_digests(by_name),
    )
    return table.take(np.lexsort((table.digests, table.time)))


def nanoseconds(text: str) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time; UTC unless it has an offset. Finer than microseconds is cut off.

    Raises:
        ValueError: it is no such time, or not between the years 1678 and 2262.
    """
    moment = datetime.fromisoformat(text.strip())
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    found = (since.days * 86_400 + since.seconds) * _NANOSECONDS + since.microseconds * 1000
    if abs(found) >= UNKNOWN_YET:
        raise ValueError(f"{text!r} is out of the range of nanoseconds in 64 bits")
    return found


def timestamp(time: int) -> str:
    """RFC 3339 in UTC of nanoseconds since 1970."""
    moment = datetime.fromtimestamp(time // _NANOSECONDS, tz=UTC).replace(microsecond=time % _NANOSECONDS // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def _read_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines)
            names = next(reader, [])
            rows = [_complete(path, reader.line_num, row, len(names)) for row in reader if row]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: can't be read as CSV: {error}") from error
    if not names or len(set(names)) != len(names):
        raise DataError(f"{path}: the first line must name the columns, each once; it reads {names}")
    return names, [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]


def _complete(path: Path, line: int, row: list[str], expected: int) -> list[str]:
    if len(row) != expected:
        raise DataError(f"{path}: line {line} has {len(row)} cells, the first line names {expected} columns")
    return row


def _resolved(path: Path, names: Sequence[str], columns: TableColumns) -> TableColumns:
    parts = [columns.time, columns.label, *([columns.known] if columns.known else [])]
    features = tuple(name for name in names if name not in parts) if columns.features is None else columns.features
    missing = [name for name in (*parts, *features) if name not in names]
    if missing:
        raise DataError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(names)}")
    return replace(columns, features=features)


def _times(path: Path, name: str, cells: Iterable[str], missing: int | None = None) -> NDArray[np.int64]:
    return np.array([_time(path, name, row, cell, missing) for row, cell in enumerate(cells)], dtype=np.int64)


def _time(path: Path, name: str, row: int, cell: str, missing: int | None) -> int:
    if missing is not None and not cell:
        return missing
    try:
        return nanoseconds(cell)
    except ValueError as error:
        raise DataError(f"{path}: column {name}, row {row + 1}: {cell!r} is no ISO 8601 time") from error


def _numbers(path: Path, name: str, cells: Sequence[str]) -> NDArray[np.float64]:
    try:
        return np.array([float(cell or _NULL) for cell in cells], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path}: column {name}: {error}") from error


def _row_digests(cells: dict[str, list[str]]) -> NDArray[np.uint64]:
    names = sorted(cells)
    schema = hashlib.blake2b(json.dumps(names).encode(), digest_size=8)
    columns = [[_canonical(cell) for cell in cells[name]] for name in names]
    return np.array([_row_digest(schema.copy(), row) for row in zip(*columns, strict=True)], dtype="<u8")


def _row_digest(start: hashlib.blake2b, row: Iterable[bytes]) -> int:
    start.update(b"".join(row))
    return int.from_bytes(start.digest(), "little")


def _canonical(cell: str) -> bytes:
    try:
        return b"n" + struct.pack("<d", float(cell or _NULL))
    except ValueError:
        text = cell.encode()
        return b"t" + struct.pack("<q", len(text)) + text


def _little_endian(*arrays: NDArray[np.int64] | NDArray[np.float64]) -> bytes:
    return b"".join(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes() for array in arrays)
