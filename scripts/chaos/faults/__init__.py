"""The faults of a run: how each is done to a running system, and how it is undone."""
