"""modelcycle: a Kubernetes operator for the whole life of a model."""
