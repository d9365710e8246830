"""`durable-fn init`: what a new project begins with, or the part of a template that an existing stack needs."""

from __future__ import annotations

import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

SNIPPET: Final = "durable_fn.snippet.yaml"
_BEGIN: Final = "  # -- durable_fn: once per stack"
_END: Final = "  # -- durable_fn: end"
_NAMES: Final = {"gitignore": ".gitignore"}  # a file of that name in a package would be obeyed there


def files(*, snippet: bool = False) -> dict[str, str]:
    """Path to content."""
    root = resources.files("durable_fn.cli") / "starter"
    if snippet:
        return {SNIPPET: _snippet((root / "template.yaml").read_text("utf-8"))}
    return dict(sorted(_walk(root, "")))


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/") if entry.name != "__pycache__" else []
        else:
            found.append((prefix + _NAMES.get(entry.name, entry.name), entry.read_text("utf-8")))
    return found


def _snippet(template: str) -> str:
    """The resources, to be copied into a template's own."""
    inner = template[template.index(_BEGIN) : template.index(_END)].rstrip()
    return f"# Copy these into your template (docs/add-to-a-stack.md says what they are for).\nResources:\n{inner}\n"


def write(directory: Path, wanted: dict[str, str]) -> list[Path]:
    """All of them or none. FileExistsError names what is in the way; nothing is overwritten."""
    there = [name for name in wanted if os.path.lexists(directory / name)]
    if there:
        raise FileExistsError(
            f"{directory} has {', '.join(there)} already, and nothing is overwritten. Name an empty directory, or take only the "
            "part for an existing template with --snippet"
        )
    written = []
    for name, text in wanted.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        written.append(path)
    return written
