"""Importing a theme registers its shapes."""

from __future__ import annotations

from tests.corpus import (
    callbacks,
    calls,
    endings,
    fans,
    keys,
    native,
    polls,
    races,
    sagas,
    signals,
    steps,
    values,
    versions,
)
from tests.corpus.shape import SHAPES

__all__ = ["SHAPES", "THEMES"]
THEMES = (callbacks, calls, endings, fans, keys, native, polls, races, sagas, signals, steps, values, versions)
