"""The chart, which is the one source of the install, and what is generated from it."""
