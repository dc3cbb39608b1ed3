"""Serves one version of one model by the Open Inference Protocol v2, and scores the labels that come back."""
