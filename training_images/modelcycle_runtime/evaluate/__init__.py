"""The gate: champion and challenger answer the same rows, which neither was trained on, and a paired test decides."""
