"""Claims of speed, each reproducible by one command and measured side by side in one run."""
