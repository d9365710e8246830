"""What is wrong with a payload, told without the payload: for logs, and for people on the other side of the internet."""

from __future__ import annotations

from typing import Any

_MOST = 20


def problems(error: BaseException) -> list[dict[str, str]]:
    """Where and what, of a value that does not fit its annotation. Empty for any other error."""
    rows = getattr(error.__cause__, "errors", None)
    if not callable(rows):
        return []
    found: list[dict[str, Any]] = rows(include_url=False, include_context=True, include_input=False)
    return [{"at": _place(row["loc"])[:200], "problem": _said(row)[:500]} for row in found[:_MOST]]


def told(error: BaseException) -> str:
    """One line. Errors other than of validation say themselves what they may."""
    found = problems(error)
    if not found:
        return f"{type(error).__name__}: {error}"
    rows = "; ".join(f"{row['at']}: {row['problem']}" for row in found[:5])
    return f"it does not fit the annotation: {rows}"


def _place(loc: tuple[int | str, ...]) -> str:
    """ "lines[2].sku" """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".") or "the value"


def _said(row: dict[str, Any]) -> str:
    if row["type"] == "union_tag_invalid":  # the only message of pydantic's own that quotes the input
        context = row.get("ctx", {})
        return f"{context.get('discriminator', 'the tag')} is none of the expected: {context.get('expected_tags', '')}"
    return str(row["msg"])
