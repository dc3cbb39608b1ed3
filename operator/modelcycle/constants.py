"""Names that other programs and people rely on: labels, annotations, field managers, environment variables, metrics.

``modelcycle_runtime.contract`` repeats those that pods see, since the two packages never import each other; a test
compares them.
"""

from __future__ import annotations

from modelcycle.api.v1alpha1.common import GROUP

FIELD_MANAGER = f"{GROUP}/operator"
STATUS_MANAGER = f"{GROUP}/status"
MANAGED_BY = "modelcycle"

# --- labels of children and pods -------------------------------------------------------------------------------------
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"  # always MANAGED_BY
LABEL_COMPONENT = "app.kubernetes.io/component"  # training | serving | gate
LABEL_OWNER_KIND = f"{GROUP}/owner-kind"  # mt | md | rp: short name of the owning resource
LABEL_OWNER_NAME = f"{GROUP}/owner-name"  # name of the owner, cut to 63
LABEL_OWNER_UID = f"{GROUP}/owner-uid"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_DEPLOYMENT = f"{GROUP}/deployment"  # serving pods: name of the ModelDeployment, cut to 63
LABEL_MODEL_VERSION = f"{GROUP}/model-version"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_POLICY = f"{GROUP}/policy"  # trainings made by a policy: its name, cut to 63
LABEL_POLICY_UID = f"{GROUP}/policy-uid"
LABEL_CYCLE = f"{GROUP}/cycle"

# --- annotations -----------------------------------------------------------------------------------------------------
ANNOTATION_SPEC_HASH = f"{GROUP}/spec-hash"  # on children: hash of what was applied
ANNOTATION_ABORT = f"{GROUP}/abort-requested"
ANNOTATION_APPROVE = f"{GROUP}/approve-requested"
ANNOTATION_RETRY = f"{GROUP}/retry-requested"  # ModelDeployment: a version number; forget its verdict
ANNOTATION_RETRAIN = f"{GROUP}/retrain-requested"

# --- tags in MLflow --------------------------------------------------------------------------------------------------
TAG_OWNER = f"{GROUP}/owner"  # registered model: <cluster>/<namespace>/<name>/<uid> of the ModelDeployment
TAG_KEY = f"{GROUP}/key"  # run, version
TAG_UID = f"{GROUP}/uid"
TAG_TRAINING = f"{GROUP}/training"  # <cluster>/<namespace>/<name>
TAG_IMAGE = f"{GROUP}/image-digest"
TAG_PARAMETERS = f"{GROUP}/parameters-digest"
TAG_DATA = f"{GROUP}/data-digest"
TAG_CODE = f"{GROUP}/code-digest"
TAG_AS_OF = f"{GROUP}/as-of"
TAG_DIGEST = f"{GROUP}/digest"  # version: sha256 over its files
TAG_FILES = f"{GROUP}/files"  # version: JSON [[path, size, sha256], ...]
TAG_MODEL_ROOT = f"{GROUP}/model-root"
TAG_RUN_ROOT = f"{GROUP}/run-root"
TAG_BASELINE_LOSS = f"{GROUP}/baseline-loss"  # version: mean loss at its training, decimal
TAG_POLICY = f"{GROUP}/policy"
TAG_CYCLE = f"{GROUP}/cycle"
TAG_GATE = f"{GROUP}/gate"
TAG_ROLLOUT = f"{GROUP}/rollout"  # version: JSON, the owning deployment's verdict with its numbers
TAG_DUPLICATE_OF = f"{GROUP}/duplicate-of"

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

# --- files and ports of pods -----------------------------------------------------------------------------------------
MODEL_DIR = "/modelcycle/model"
CHAMPION_DIR = "/modelcycle/champion"
CHALLENGER_DIR = "/modelcycle/challenger"
FEEDBACK_KEY_FILE = "/modelcycle/feedback/key"
WORKSPACE_DIR = "/workspace"
PORT_HTTP = 8080
PORT_METRICS = 9090

# --- metrics of serving pods, labelled version; Prometheus adds namespace, deployment, pod --------------------------
METRIC_REQUESTS = "modelcycle_requests_total"  # version, code
METRIC_REQUEST_SECONDS = "modelcycle_request_seconds"  # histogram: version
METRIC_QUEUE_SECONDS = "modelcycle_queue_seconds"  # histogram: version
METRIC_BATCH_ROWS = "modelcycle_batch_rows"  # histogram: version
METRIC_IN_FLIGHT = "modelcycle_requests_in_flight"  # gauge: version
METRIC_REJECTED = "modelcycle_rejected_total"  # version, reason
METRIC_FEATURE_BINS = "modelcycle_feature_bin_total"  # version, feature, bin
METRIC_PREDICTION_BINS = "modelcycle_prediction_bin_total"  # version, output, bin
METRIC_BASELINE_FEATURE_BINS = "modelcycle_baseline_feature_bin"  # gauge: version, feature, bin; from baseline.json
METRIC_BASELINE_PREDICTION_BINS = "modelcycle_baseline_prediction_bin"  # gauge: version, output, bin
METRIC_FEEDBACK_ROWS = "modelcycle_feedback_rows_total"  # version
METRIC_LOSS_POSITIVE = "modelcycle_feedback_loss_positive_total"
METRIC_LOSS_NEGATIVE = "modelcycle_feedback_loss_negative_total"
METRIC_LOSS_SQUARED = "modelcycle_feedback_loss_squared_total"
METRIC_LOSS_NONFINITE = "modelcycle_feedback_nonfinite_total"
METRIC_FEEDBACK_REJECTED = "modelcycle_feedback_rejected_total"  # reason: duplicate | forged | malformed | unknown
METRIC_WATERMARK = "modelcycle_feedback_watermark_seconds"
