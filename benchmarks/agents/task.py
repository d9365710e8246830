"""What the agent does: 10 answers of a model, 15 calls of tools, beside each other where a turn has several.

Each of them is a call of an outside ledger, which counts who called and what happened.
"""

from __future__ import annotations

import json
from typing import Any, Final

from durable_fn import current_step
from handlers_demo.systems import ExternalSystem

LEDGER: Final = ExternalSystem("ledger")
TURNS: Final = (3, 2, 1, 2, 1, 2, 1, 2, 1)
"""Tools that each answer calls; the tenth calls none."""
TEXT: Final = "Looking at what is there, I find that one more thing has to be known before this can be answered. " * 4
FOUND: Final = json.dumps([{"order_id": f"order-{n}", "item": "moka pot", "total": "39.00"} for n in range(8)])
"""About what a row of rows from a database weighs."""


def calls(turn: int) -> list[tuple[str, str]]:
    """Id and question of each call of a turn, from 0."""
    return [(f"call-{turn}-{n}", f"question {turn}.{n}") for n in range(TURNS[turn])] if turn < len(TURNS) else []


def answer(turn: int) -> str:
    """The model's, billed once per step."""
    if turn > len(TURNS):
        raise ValueError(f"the model was asked after its last answer: turn {turn}")
    _book(f"model {turn}")
    return TEXT if turn < len(TURNS) else "Done."


def search(question: str) -> str:
    _book(question)
    return FOUND


def _book(what: str) -> None:
    LEDGER.perform(what, current_step().idempotency_key, current_step().operation_id)


def expected() -> dict[str, int]:
    """What must have happened in the end, and how often."""
    questions = {question: 1 for turn in range(len(TURNS)) for _, question in calls(turn)}
    return {f"model {turn}": 1 for turn in range(len(TURNS) + 1)} | questions


Event = dict[str, Any]
