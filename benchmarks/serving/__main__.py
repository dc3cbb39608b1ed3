"""``python -m benchmarks.serving``: ours beside MLServer, mlflow, LitServe and KServe, and beside floors."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.serving import heavier, process, small
from benchmarks.serving.report import Report
from benchmarks.serving.sizes import DEFAULT, LONG, QUICK, Sizes
from e2e import core
from e2e.progress import say, step

OUT = core.ROOT / "out" / "bench"
BESIDE = {"rates": small.rates, "halves": small.halves, "tail": small.tail, "curves": small.curves}
"""Parts that share the servers of the small network."""
ALONE = {"watching": small.watching, "process": process.measure, "models": heavier.measure, "variants": small.variants}
DEFAULT_PARTS = (*BESIDE, "watching", "process", "models")


def measured(sizes: Sizes, parts: list[str], folder: Path, out: Path) -> Report:
    report = Report()
    core.build()
    if any(part in parts for part in BESIDE):
        with small.started(folder / "small", core.examples()) as field:
            for name, part in BESIDE.items():
                if name in parts:
                    with step(name):
                        part(field, sizes, report)
                    report.write(out)
    for name, alone in ALONE.items():
        if name in parts:
            place = folder / name
            place.mkdir()
            with step(name):
                alone(place, sizes, report)
            report.write(out)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="short measurements, to see that it works")
    length.add_argument("--long", action="store_true", help="10 minutes for the tail, instead of one")
    choices = (*BESIDE, *ALONE)
    parser.add_argument("--parts", nargs="+", choices=choices, default=DEFAULT_PARTS, help="measure only these")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder of serving.json, .md and .png")
    parsed = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds: servers that are stopped would stay for ever
    sizes = QUICK if parsed.quick else LONG if parsed.long else DEFAULT
    with tempfile.TemporaryDirectory(prefix="modelcycle-bench-") as folder:
        report = measured(sizes, list(parsed.parts), Path(folder), parsed.out)
    print("\n".join(report.write(parsed.out)))
    say(f"written: {parsed.out}/serving.json, serving.md, serving.png")


if __name__ == "__main__":
    main()
