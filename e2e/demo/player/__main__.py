"""Entry point of the replay's pod."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from .days import Journal, read_days
from .pace import Pace
from .replay import Replay, report_progress
from .service import ClusterWatch, ReplayError, ServedModel

RECORD = "record "


def main() -> int:
    """Replay as the environment says; prints the journal at the end, a record a line."""
    settings = json.loads(os.environ["REPLAY"])
    days = list(read_days(Path(settings["table"]), settings["first"], settings["last"]))
    journal = Journal(Path(settings["journal"]))
    print(f"{len(days)} days, {len(journal.entries)} of them done before", flush=True)
    model = ServedModel(settings["url"], settings["model"])
    watch = ClusterWatch(settings["namespace"], settings["policy"], settings["deployment"])
    try:
        Replay(model, Pace(watch), journal).run(days)
    except ReplayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report_progress(len(days), days, journal)
    for day in days:
        print(RECORD + json.dumps(asdict(journal.entries[day.time])), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
