"""Trains the hedge: oil's return of the day, in units of its volatility, from what the stock market did.

The model is a committee of small networks that differ in where they start; its answer is their mean, which is steadier
than any one of them. It takes features as they are: the training rows' mean and scale are inside of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from modelcycle_runtime.train import training

Progress = Callable[..., None]


class Committee(nn.Module):
    """Features [n, k] to predictions [n]. Each member is a straight line and a layer of ``units`` bends beside it."""

    def __init__(self, mean: Tensor, scale: Tensor, members: int, units: int) -> None:
        super().__init__()
        inputs = len(mean)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.hidden = nn.Parameter(torch.randn(members, inputs, units) / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.randn(members, 1, units))
        self.bends = nn.Parameter(torch.randn(members, units, 1) / units)
        self.line = nn.Parameter(torch.zeros(members, inputs, 1))
        self.level = nn.Parameter(torch.zeros(members, 1, 1))

    def members(self, features: Tensor) -> Tensor:
        """Each member's own predictions [members, n, 1]."""
        # A day beyond three standard deviations is taken for one of three: hardly anything like it was trained on.
        inputs = ((features - self.mean) / self.scale).clamp(-3.0, 3.0).unsqueeze(0)
        bent = torch.tanh(torch.matmul(inputs, self.hidden) + self.bias)
        return torch.matmul(inputs, self.line) + torch.matmul(bent, self.bends) + self.level

    def forward(self, features: Tensor) -> Tensor:
        return self.members(features).mean(dim=0).squeeze(-1)


def fit(
    features: Tensor,
    label: Tensor,
    *,
    members: int = 8,
    units: int = 16,
    steps: int = 200,
    rate: float = 0.01,
    decay: float = 0.05,
    progress: Progress | None = None,
) -> Committee:
    """Least squares by Adam on all rows at once; ``decay`` draws every weight to zero, as in a ridge regression."""
    model = Committee(features.mean(dim=0), features.std(dim=0).clamp_min(1e-12), members, units)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for step in range(1, steps + 1):
        errors = (model.members(features).squeeze(-1) - label).square().mean(dim=1)
        weights = sum((p.square().sum() for p in (model.hidden, model.bends, model.line)), torch.zeros(()))
        # The sum over members: each of them learns at the rate that it would have alone.
        loss = errors.sum() + decay * weights
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress is not None:
            progress(step, steps, loss=float(errors.detach().mean()))
    return model


def main() -> None:
    """Train as the ModelTraining says, and log the model."""
    with training() as t:
        table = t.table(
            "market",
            "hedge.csv",
            time_column="time",
            label_column="oil",
            known_column="known",
            latest=t.parameter("rows", 500),
        )
        features = torch.from_numpy(table.features).float()
        label = torch.from_numpy(table.label).float()
        model = fit(features, label, steps=t.parameter("steps", 200), progress=t.progress)
        t.export_torch(model, loss="Squared")


if __name__ == "__main__":
    main()
