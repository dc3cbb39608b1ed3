"""Takes all the memory that there is."""

taken = []
while True:
    taken.append(b"x" * 1_000_000)
