"""What really ran: step bodies with an effect append to `EFFECTS`, which is emptied before every test."""

from __future__ import annotations

EFFECTS: list[str] = []


def effect(name: str) -> str:
    EFFECTS.append(name)
    return name


def add(a: int, b: int = 1) -> int:
    EFFECTS.append(f"add {a} {b}")
    return a + b
