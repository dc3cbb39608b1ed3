"""What modelcycle does with real pods in a real cluster."""
