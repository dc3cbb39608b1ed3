"""A mistake in a script that knows nothing of us: its log is all that there is."""

print("epoch 1 of 3")
raise ValueError("the learning rate must not be negative")
