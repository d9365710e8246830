"""Each operation once, as a generator that yields effects."""
