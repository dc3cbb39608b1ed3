"""``make check``: every case for as long as there is time, one line each; the shortest path to a violation."""

from __future__ import annotations

import argparse
import sys
import time

from tests.check.cases import CASES
from tests.check.explore import explore


def main() -> int:
    parser = argparse.ArgumentParser(prog="make check", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200, help="for all cases together (default: 1200)")
    parser.add_argument("--states", type=int, default=2_000_000, help="of a case, at most (default: 2,000,000)")
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    options = parser.parse_args()
    cases = [case for case in CASES if options.case in case.name]
    if not cases:
        parser.error(f"no case is named like {options.case!r}; there are: {'; '.join(case.name for case in CASES)}")
    began, states, violations = time.monotonic(), 0, 0
    for number, case in enumerate(cases):
        left = began + options.seconds - time.monotonic()
        report = explore(case.world(), states=options.states, seconds=left / (len(cases) - number))
        states, violations = states + report.states, violations + (report.violation is not None)
        print(f"check: {case.name}: {report}", flush=True)
        if report.violation is not None:
            print(report.violation, flush=True)
    took = time.monotonic() - began
    print(f"check: {len(cases)} cases, {states:,} states in {took:.0f} s, {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
