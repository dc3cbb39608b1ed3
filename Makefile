# From a fresh clone: `make demo` or `make test`. `make help` lists the rest.
#
# Settings, as in `make up NAME=mine GPUS=0`:
#   NAME        the cluster's name                                     PROVIDER    auto, existing, kind or local
#   GPUS        nvidia.com/gpu of its node                             KUBECONFIG_FILE  use this cluster, make none
#   REPOSITORY  where `make images` pushes to                          ARGS        more arguments for pytest
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

NAME ?= modelcycle
PROVIDER ?= auto
GPUS ?= 8
KUBECONFIG_FILE ?=
REPOSITORY ?=
ARGS ?=

# operator/ and training_images/ are source roots; operator/ itself must never become a package.
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/training_images:$(CURDIR)
# One clock for all the progress lines of a command.
export MODELCYCLE_PROGRESS_EPOCH := $(shell date +%s.%N)

# Asked for once, when first needed: the virtual environment lies in the cache, keyed by its requirements.
PY = $(eval PY := $(shell e2e/bootstrap --python))$(PY)
BIN = $(dir $(PY))
CLUSTER = $(PY) -m e2e.cluster
CLUSTER_FLAGS = --name $(NAME) --provider $(PROVIDER) $(if $(KUBECONFIG_FILE),--kubeconfig $(KUBECONFIG_FILE))
SOURCES := operator training_images e2e helm tests benchmarks

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Get this machine ready: virtual environment, OS packages (every other target does it by itself)
	@e2e/bootstrap

# Rust's compiler takes a minute the first time; what was built is kept outside of the clone, by its sources.
.PHONY: core
core: setup ## Build the serving core (Rust), unless it is there
	@$(PY) -m e2e.core

.PHONY: demo
demo: setup ## The whole loop on real market data: cluster, install, 2008, report; the cluster stays up
	$(PY) -m e2e.demo $(CLUSTER_FLAGS)

.PHONY: test
test: lint test-unit test-integration test-e2e ## Everything that a change has to pass

.PHONY: lint
lint: setup ## Style, types, import contracts
	$(BIN)ruff check .
	$(BIN)ruff format --check .
	$(PY) -m mypy $(SOURCES)
	$(BIN)lint-imports
	@$(PY) -m e2e.core lint

# Programs are built before pytest begins: the first build of a Kubernetes takes longer than any test may.
.PHONY: test-unit
test-unit: core ## What needs no server: units, properties, conventions
	@$(CLUSTER) bin helm >/dev/null
	@$(PY) -m e2e.core test
	$(PY) -m pytest -n auto --dist loadfile tests/unit tests/property tests/conventions tests/check tests/museum tests/transitions $(ARGS)

.PHONY: check
check: setup ## Explore what the decisions do under crashes, stale reads, outages and edits (20 minutes)
	$(PY) -m tests.check $(ARGS)

.PHONY: museum
museum: setup ## Take the operator's guards out one by one, and see who notices
	$(PY) -m tests.museum $(ARGS)

.PHONY: test-integration
test-integration: core ## Against real servers: kube-apiserver, MLflow
	@$(CLUSTER) bin kube-apiserver >/dev/null
	$(PY) -m pytest tests/contract tests/integration tests/crash $(ARGS)

.PHONY: crash
crash: setup ## Let kills, errors, lost answers and bad watches befall every request of a model's life (15 minutes)
	@$(CLUSTER) bin kube-apiserver >/dev/null
	MODELCYCLE_CRASH=all $(PY) -m pytest tests/crash $(ARGS)

.PHONY: fuzz
fuzz: core ## Send the server 100,000 requests that are nearly right (half an hour; MODELCYCLE_FUZZ_SEED=... repeats a run)
	MODELCYCLE_FUZZ=100000 $(PY) -m pytest --timeout=0 tests/integration/serving/fuzz $(ARGS)

.PHONY: ha
ha: setup ## Kill, freeze and upgrade replicas of the operator, with 200 resources in all stages (20 minutes)
	@$(CLUSTER) bin kube-apiserver >/dev/null
	MODELCYCLE_HA=all $(PY) -m pytest tests/integration/ha tests/integration/core/test_silence.py $(ARGS)

.PHONY: bench-scale
bench-scale: setup ## How many resources one operator carries, beside bare Jobs: out/bench/scale.json (45 minutes)
	@$(CLUSTER) bin kwok >/dev/null
	@$(CLUSTER) bin kube-apiserver >/dev/null
	$(PY) -m benchmarks.scale $(ARGS)

.PHONY: bench-serving
bench-serving: core ## How fast a model is served, beside other servers and floors: out/bench/serving.json (15 minutes)
	$(PY) -m benchmarks.serving $(ARGS)

.PHONY: test-e2e
test-e2e: setup ## With real pods in a real cluster
	$(PY) -m pytest tests/torch e2e $(ARGS)

.PHONY: up
up: setup ## Bring the cluster up, unless it is
	@$(CLUSTER) up $(CLUSTER_FLAGS) --gpus $(GPUS)

.PHONY: down
down: setup ## Take the cluster away and leave nothing
	@$(CLUSTER) down $(CLUSTER_FLAGS)

.PHONY: status
status: setup ## What of the cluster runs
	@$(CLUSTER) status $(CLUSTER_FLAGS)

.PHONY: images
images: setup ## Build the container images (REPOSITORY=... pushes them there)
	$(PY) -m e2e.images build $(if $(REPOSITORY),--repository $(REPOSITORY) --push)

.PHONY: crds
crds: setup ## Generate crds/ and the API reference from the models
	$(PY) -m modelcycle.api.schema
	$(PY) -m tests.transitions.page

.PHONY: manifests
manifests: crds ## Generate manifests/ from the chart
	$(PY) -m helm.render

.PHONY: clean
clean: ## Remove what was made inside of the clone (the caches outside stay: ~/.cache/modelcycle)
	rm -rf build dist out .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
