"""A module that cannot be loaded."""

raise RuntimeError("the settings are incomplete")
