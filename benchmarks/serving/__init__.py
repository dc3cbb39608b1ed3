"""How fast a model is served, beside the floor: a server on the same stack that gives back what it gets."""
