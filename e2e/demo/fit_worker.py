"""Runs inside of the training image: fits the sample's network for whoever asks on standard input.

A question is a line ``{"first", "last", "seed"}``; the answer is a line with the model's predictions for all rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "training_images"), str(REPOSITORY / "manifests" / "samples" / "hedge")]

import torch  # noqa: E402
import train  # type: ignore[import-not-found]  # noqa: E402

from modelcycle_runtime.table import TableColumns, read_table  # noqa: E402
from modelcycle_runtime.train.seeds import seed_everything  # noqa: E402


def main(path: Path) -> None:
    """Answer until standard input ends."""
    table = read_table(path, TableColumns(time="time", label="oil", known="known"))
    features, label = torch.from_numpy(table.features).float(), torch.from_numpy(table.label).float()
    for line in sys.stdin:
        question = json.loads(line)
        rows = slice(question["first"], question["last"])
        seed_everything(question["seed"])
        model = train.fit(features[rows], label[rows])
        with torch.no_grad():
            print(json.dumps(model(features).tolist()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
