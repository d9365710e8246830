"""Each line `durable-fn ...` and `make ...` that the guide shows is one that the command, or the Makefile, takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from durable_fn.cli.app import app
from tests.docs.test_guide import PAGES, blocks

ROOT = Path(__file__).resolve().parents[2]
LINES = [
    (page.stem, line)
    for page in PAGES
    for block in blocks(page, "sh")
    for line in re.sub(r"\\\n", " ", block).splitlines()
    if line.startswith(("durable-fn ", "make "))
]


def refused(line: str) -> str | None:
    """What the command says against it. Nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    words = words[: next((at for at, word in enumerate(words) if word in (">", "|", "&&", ">>")), len(words))]
    command: Any = typer.main.get_command(app)
    context = None
    try:
        while hasattr(command, "commands"):
            name = words.pop(0)
            command = command.commands[name]
            context = None
        command.make_context("durable-fn", words, parent=context)
    except (KeyError, IndexError, typer.Exit, Exception) as error:
        return repr(error)
    return None


def test_there_are_some() -> None:
    assert len(LINES) > 15


@pytest.mark.parametrize(("page", "line"), LINES)
def test_it_would_be_taken(page: str, line: str) -> None:
    if line.startswith("durable-fn "):
        assert refused(line) is None
    else:
        made = [(ROOT / "Makefile").read_text(), (ROOT / "durable_fn" / "cli" / "starter" / "Makefile").read_text()]
        target = line.split()[1]
        assert any(re.search(rf"^{re.escape(target)}:", text, re.M) for text in made)


@pytest.mark.parametrize("line", ["durable-fn nothing", "durable-fn list --nonsense", "durable-fn show"])
def test_what_would_not_be_taken_is_found(line: str) -> None:
    assert refused(line) is not None
