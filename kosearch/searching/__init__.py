"""A question → ranked passages. `answering` is the door; what prints a hit needs no more than `excerpts`."""
