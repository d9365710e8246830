"""Workflow shapes, by theme. `SHAPES` has them all; `test_corpus.py` runs each of them in every way there is."""
