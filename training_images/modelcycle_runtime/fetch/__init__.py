"""Brings the files of a model version into a pod and verifies each against what was registered."""
