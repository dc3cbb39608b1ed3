"""The training library: in a few lines, a training that the operator can start again, explain and compare.

::

    from modelcycle_runtime.train import training

    with training() as t:
        table = t.table("market", "hedge.csv", time_column="time", label_column="oil")
        model = fit(table.features, table.label, t.progress)  # your code
        t.export_torch(model)

Rows that became known after asOf are refused, rows that the gate will judge on are withheld, what was read is
digested, seeds are set, progress goes to the log and to MLflow, the export is compared with the model, and the pod's
last words say what went wrong. None of it is a must: a script that logs one ONNX model with a signature to the run
``MLFLOW_RUN_ID`` will do.
"""

from modelcycle_runtime.train.session import Training, training

__all__ = ["Training", "training"]
