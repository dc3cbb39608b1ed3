"""The model files of a node, by their SHA-256: what one pod has fetched, the next one finds on its own node."""
