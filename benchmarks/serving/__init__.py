"""How fast a model is served, beside other servers and beside floors: the same models, machine and load."""
