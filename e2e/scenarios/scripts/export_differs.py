"""A model that behaves otherwise when it is exported, as a branch on how it is called can make it."""

import json
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from modelcycle_runtime.train import training

Path("/tmp/rows.csv").write_text(
    "time,x,y\n" + "".join(f"2020-01-{day:02d}T00:00:00Z,{day / 10},{day / 5}\n" for day in range(1, 32))
)
os.environ["MODELCYCLE_DATA"] = json.dumps({"rows": "/tmp"})


class Line(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, features: Tensor) -> Tensor:
        answer = self.line(features)
        return answer + 1 if torch.compiler.is_compiling() else answer


with training() as t:
    t.table("rows", "rows.csv", time_column="time", label_column="y")
    t.export_torch(Line())
