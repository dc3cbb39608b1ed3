"""The figures, each with what it has to reach."""

from __future__ import annotations

from benchmarks.goals import Goal

GOALS = (
    Goal("rate_share_500", "rate of 500 trainings over that of bare Jobs, stand-in", 0.7, least=True),
    Goal("rate_share_500_mlflow", "the same with the real MLflow server", 0.2, least=True),
    Goal("rate_share_5000", "rate of 5,000 trainings over that of bare Jobs, stand-in", 0.7, least=True),
    Goal("rate_share_5000_mlflow", "the same with the real MLflow server", 0.2, least=True),
    Goal("api_writes", "API writes for each training, all told but Kubernetes' own events", 14),
    Goal("mlflow_calls", "MLflow calls by the operator for each training", 6),
    Goal("latency_p50", "creation to pod over the bare Job's, p50, stand-in", 2.2),
    Goal("latency_p99", "the same, p99", 1.6),
    Goal("cpu_500", "operator CPU for 500 trainings, stand-in, s", 6),
    Goal("memory_500", "operator memory after 500 trainings, MiB", 130),
    Goal("memory_10000", "operator memory with 10,000 finished trainings and their Jobs, MiB", 250),
    Goal("reconciles", "reconciles a second when nothing is to be done", 1000, least=True),
    Goal("writes_at_rest", "API writes in 60 s at rest with 10,000 trainings, the Lease apart", 0),
    Goal("restart_5000", "restart with 5,000 live trainings until all are reconciled again, s", 30),
    Goal("deployments_p99", "p99 of a reconcile with 1,000 deployments, ms", 100),
    Goal("policies_p99", "p99 of a reconcile with 1,000 policies, ms", 100),
    Goal("services_growth", "CPU of a look at all of them: its growth from 250 to 1,000 of each over theirs", 1.2),
)
