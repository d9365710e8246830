"""Random workflows of both fronts, and what must hold for each of them. `python -m tests.fuzz async 0-99` runs many."""
