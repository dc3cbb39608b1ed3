"""``make museum``: for each guard that is taken out of the operator what that is an example of, and who saw it."""

from __future__ import annotations

import argparse
import sys
import textwrap
import time

from tests.museum.catalogue import HALLS
from tests.museum.catching import catch
from tests.museum.suites import suites

WIDTH = 110


def main() -> int:
    parser = argparse.ArgumentParser(prog="make museum", description=__doc__)
    parser.add_argument("--guard", default="", help="only exhibits whose guard contains this")
    parser.add_argument("--whole", action="store_true", help="all that the suite said, not only the story in a line")
    options = parser.parse_args()
    began, shown, missed = time.monotonic(), 0, 0
    with suites() as running:
        for hall, exhibits in HALLS.items():
            for exhibit in exhibits:
                if options.guard not in exhibit.guard:
                    continue
                caught = catch(exhibit, running)
                shown, missed = shown + 1, missed + (not caught.by)
                print(f"{hall}: without the guard {exhibit.guard!r} ({exhibit.bug}): {caught.by or 'NOT CAUGHT'}")
                told = caught.report if options.whole or not caught.by else textwrap.shorten(caught.story, WIDTH)
                print(textwrap.indent(told, "    "), flush=True)
    took = time.monotonic() - began
    print(f"museum: {shown} operators without one of their guards, {missed} not caught, {took:.0f} s")
    return 1 if missed or not shown else 0


if __name__ == "__main__":
    sys.exit(main())
