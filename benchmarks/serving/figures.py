"""What is stated of serving: each figure with what it has to reach, and how it comes of what was measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.goals import Goal

GOALS = (
    Goal("json_mlserver", "small network, JSON, requests/s over MLServer's", 8, least=True),
    Goal("json_mlflow", "the same over mlflow's", 15, least=True),
    Goal("json_litserve", "the same over LitServe's", 12, least=True),
    Goal("json_kserve", "the same over KServe's Python server's", None),
    Goal("binary_mlserver", "binary tensors over HTTP, 32 rows, rows/s over MLServer's gRPC", 10, least=True),
    Goal("echo_share", "small network, JSON, requests/s as a share of the echo's", 0.5, least=True),
    Goal("p99_mlserver", "p99 at half of MLServer's best rate over MLServer's", 0.2),
    Goal("p99_mlflow", "p99 at half of mlflow's best rate over mlflow's", 0.2),
    Goal("p99_litserve", "p99 at half of LitServe's best rate over LitServe's", 0.2),
    Goal("p99_kserve", "p99 at half of KServe's best rate over KServe's", 0.2),
    Goal("cnn_share", "CNN: images/s as a share of ONNX Runtime's in a bare loop, best batch", 0.9, least=True),
    Goal("minilm_share", "MiniLM: the same of texts/s", 0.9, least=True),
    Goal("boosted_share", "gradient boosting: the same of rows/s, 32 rows a request", None),
    Goal("tail", "p99.9 over p50 at 70 % of capacity, over the echo's", 2),
    Goal("tail_failed", "requests that failed meanwhile", 0),
    Goal("memory", "memory beyond the model's and ONNX Runtime's, MiB", 60),
    Goal("start", "start to ready over the bare import of onnxruntime", 2),
    Goal("cost", "what histograms and tokens cost of the requests/s, %", 3),
)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios round by round: what befell both of a round befell neither's ratio.

    Raises:
        ValueError: they have not as many rounds, or none.
    """
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def cost(plain: Sequence[float], watched: Sequence[float]) -> float:
    """Percent of the rate ``plain`` that ``watched`` lacks, by the median of the rounds; below 0 where it gained."""
    return 100 * (1 - ratio(watched, plain))


def stated(figures: Mapping[str, float]) -> dict[str, dict[str, object]]:
    """For JSON: each figure that was measured, by name."""
    return {
        goal.name: {
            "what": goal.text,
            "value": figures[goal.name],
            "must": goal.told() or None,
            "reached": goal.reached(figures[goal.name]),
        }
        for goal in GOALS
        if goal.name in figures
    }
