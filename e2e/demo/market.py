"""The hedge's market data, made by the sample's own script and read as the training library reads it."""

from __future__ import annotations

import importlib.util
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from modelcycle_runtime.table import Table, TableColumns, nanoseconds, read_table, timestamp

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "manifests" / "samples" / "hedge"
COLUMNS = TableColumns(time="time", label="oil", known="known")


def load_script(path: Path) -> ModuleType:
    """Import a script of a sample by its path: samples are files to copy, not packages."""
    spec = importlib.util.spec_from_file_location(f"sample_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_market(target: Path) -> None:
    """Write hedge.csv as the Job of the sample does."""
    load_script(SAMPLE / "prepare.py").write_table(target)


@cache
def load_market() -> Table:
    """Every trading day from 1999 to 2018: four features, and oil's return as the label."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "hedge.csv")
        write_market(target)
        return read_table(target, COLUMNS)


def first_row_from(table: Table, day: str) -> int:
    """Place of the first row on or after a day (ISO 8601)."""
    return int(np.searchsorted(table.time, nanoseconds(day)))


def day_of(table: Table, row: int) -> str:
    """The row's date."""
    return timestamp(int(table.time[row]))[:10]
