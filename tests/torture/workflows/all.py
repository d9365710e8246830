"""All of them."""

from __future__ import annotations

from tests.torture.workflows import crowds, entities, patience
from tests.torture.workflows.hard import HARD

MODULES = (crowds, entities, patience)
WORKFLOWS = tuple(HARD.values())
