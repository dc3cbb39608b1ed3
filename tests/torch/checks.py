"""What needs torch, checked inside of the training image, where there is no pytest: plain functions and asserts.

``tests/torch/test_in_the_image.py`` runs this file there.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "training_images"), str(REPOSITORY / "manifests" / "samples" / "hedge")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import train  # type: ignore[import-not-found]  # noqa: E402

from modelcycle_runtime.errors import UserError  # noqa: E402
from modelcycle_runtime.train.graph import export_torch, predict_onnx, predict_torch  # noqa: E402
from modelcycle_runtime.train.parity import Floats, check_parity  # noqa: E402
from modelcycle_runtime.train.seeds import seed_everything  # noqa: E402

ROWS = 300


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows whose label is half the first feature, and noise."""
    random = np.random.default_rng(0)
    features = 0.01 * random.normal(size=(ROWS, 4))
    label = 50 * features[:, 0] + random.normal(size=ROWS)
    return torch.from_numpy(features).float(), torch.from_numpy(label).float()


def fitted(seed: int) -> train.Committee:
    seed_everything(seed)
    return train.fit(*data(), steps=100)


def the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    features, _ = data()
    first, again, other = (fitted(seed)(features) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def the_model_learns_what_is_there_to_learn() -> None:
    features, label = data()
    model = fitted(1)
    assert (label - model(features)).square().mean() < 0.92 * label.square().mean()


def features_are_taken_raw_and_extremes_do_no_harm() -> None:
    model = fitted(1)
    wild = model(torch.full((1, 4), 1e6))
    assert torch.isfinite(wild).all()
    assert wild.abs() < 10


def the_export_answers_as_the_module_does_for_any_number_of_rows() -> None:
    model, features = fitted(1), data()[0].numpy()
    graph = export_torch(model, features[:16])
    check_parity(predict_torch(model), predict_onnx(graph), features)
    assert graph.graph.input[0].name == "features"
    assert graph.graph.output[0].name == "prediction"
    assert graph.opset_import[0].version == 18


class BySize(torch.nn.Module):  # type: ignore[misc]
    """Freezes the number of its example's rows, as people do by accident."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.sum(dim=1) + float(features.shape[0] > 1)


class ByData(torch.nn.Module):  # type: ignore[misc]
    """Takes one of two ways by what is in the rows."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.sum(dim=1) if features.sum().item() > 0 else features.mean(dim=1)


def complaint(model: torch.nn.Module) -> str:
    """What is said against exporting the model; nothing where there is nothing against it."""
    features: Floats = data()[0].numpy()
    try:
        graph = export_torch(model.eval(), features[:16])
        check_parity(predict_torch(model), predict_onnx(graph), features)
    except UserError as error:
        return str(error)
    return ""


def an_export_that_is_frozen_to_a_number_of_rows_is_refused() -> None:
    assert complaint(BySize()).startswith("ONNX export differs: ")


def an_export_that_is_frozen_to_one_way_of_a_branch_is_refused() -> None:
    assert complaint(ByData()).startswith("ONNX export differs: ")


class Unexportable(torch.nn.Module):  # type: ignore[misc]
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eig(features.T @ features).eigenvalues.real.sum() + features.sum(dim=1)


def a_module_that_torch_cannot_export_is_the_users_error() -> None:
    assert "torch can't export the model to ONNX" in complaint(Unexportable())


def a_parameter_may_have_any_name() -> None:
    class Named(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.ones(4))

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return (features - self.mean).unsqueeze(0).mean(dim=0).sum(dim=1)

    assert complaint(Named()) == ""


CHECKS: tuple[Callable[[], None], ...] = (
    the_same_seed_gives_the_same_model_and_another_seed_another,
    the_model_learns_what_is_there_to_learn,
    features_are_taken_raw_and_extremes_do_no_harm,
    the_export_answers_as_the_module_does_for_any_number_of_rows,
    an_export_that_is_frozen_to_a_number_of_rows_is_refused,
    an_export_that_is_frozen_to_one_way_of_a_branch_is_refused,
    a_module_that_torch_cannot_export_is_the_users_error,
    a_parameter_may_have_any_name,
)


def main() -> int:
    """Run all checks, say each one's result on a line, and give the number that failed."""
    failed = 0
    for check in CHECKS:
        try:
            check()
            print(f"passed {check.__name__}", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print(f"failed {check.__name__}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
