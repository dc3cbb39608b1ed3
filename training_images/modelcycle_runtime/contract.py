"""Names that the operator and the pods share; ``docs/reference/pods.md`` says what they mean.

``modelcycle.constants`` repeats them, since the two packages never import each other; a test compares them.
"""

from __future__ import annotations

# --- environment of pods ---------------------------------------------------------------------------------------------
ENV_TRACKING_URI = "MLFLOW_TRACKING_URI"
ENV_RUN_ID = "MLFLOW_RUN_ID"
ENV_AS_OF = "MODELCYCLE_AS_OF"
ENV_HOLDOUT = "MODELCYCLE_HOLDOUT"
ENV_PARAMETERS = "MODELCYCLE_PARAMETERS"
ENV_DATA = "MODELCYCLE_DATA"
ENV_SEED = "MODELCYCLE_SEED"
ENV_ATTEMPT = "MODELCYCLE_ATTEMPT"
ENV_TRAINING = "MODELCYCLE_TRAINING"
ENV_DEADLINE = "MODELCYCLE_DEADLINE_SECONDS"
ENV_FETCH = "MODELCYCLE_FETCH"
ENV_SERVE = "MODELCYCLE_SERVE"
ENV_GATE = "MODELCYCLE_GATE"
ENV_CACHE = "MODELCYCLE_CACHE"

# --- files and ports of pods -----------------------------------------------------------------------------------------
MODEL_DIR = "/modelcycle/model"
CHAMPION_DIR = "/modelcycle/champion"
CHALLENGER_DIR = "/modelcycle/challenger"
FEEDBACK_KEY_FILE = "/modelcycle/feedback/key"
WORKSPACE_DIR = "/workspace"
PORT_HTTP = 8080
PORT_METRICS = 9090

# --- metrics of serving pods -----------------------------------------------------------------------------------------
METRIC_REQUESTS = "modelcycle_requests_total"
METRIC_REQUEST_SECONDS = "modelcycle_request_seconds"
METRIC_QUEUE_SECONDS = "modelcycle_queue_seconds"
METRIC_BATCH_ROWS = "modelcycle_batch_rows"
METRIC_IN_FLIGHT = "modelcycle_requests_in_flight"
METRIC_REJECTED = "modelcycle_rejected_total"
METRIC_FEATURE_BINS = "modelcycle_feature_bin_total"
METRIC_PREDICTION_BINS = "modelcycle_prediction_bin_total"
METRIC_BASELINE_FEATURE_BINS = "modelcycle_baseline_feature_bin"
METRIC_BASELINE_PREDICTION_BINS = "modelcycle_baseline_prediction_bin"
METRIC_FEEDBACK_ROWS = "modelcycle_feedback_rows_total"
METRIC_LOSS_POSITIVE = "modelcycle_feedback_loss_positive_total"
METRIC_LOSS_NEGATIVE = "modelcycle_feedback_loss_negative_total"
METRIC_LOSS_SQUARED = "modelcycle_feedback_loss_squared_total"
METRIC_LOSS_NONFINITE = "modelcycle_feedback_nonfinite_total"
METRIC_FEEDBACK_REJECTED = "modelcycle_feedback_rejected_total"
METRIC_WATERMARK = "modelcycle_feedback_watermark_seconds"
METRIC_MODEL_INFO = "modelcycle_model_info"
METRIC_MODEL_LOAD_SECONDS = "modelcycle_model_load_seconds"
METRIC_TOLD_REQUESTS = "modelcycle_told_requests_total"

# --- artifacts of a run, relative to its root and to the folder of a fetched version ---------------------------------
ARTIFACT_BASELINE = "modelcycle/baseline.json"
ARTIFACT_SMOKE = "modelcycle/smoke.npz"
ARTIFACT_LOSS = "modelcycle/loss.onnx"
ARTIFACT_DATASET = "modelcycle/dataset.json"
ARTIFACT_ROWS = "modelcycle/rows.npy"

# --- how a container ends --------------------------------------------------------------------------------------------
TERMINATION_LOG = "/dev/termination-log"
EXIT_DATA = 65
EXIT_UNUSABLE = 66
EXIT_UNAVAILABLE = 69
EXIT_NON_FINITE = 70
EXIT_DEVICE = 75
