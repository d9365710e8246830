"""Every command, option, kind of JSON and field of a history is in the guide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from durable_fn.cli import filters
from durable_fn.cli.app import app
from durable_fn.testing import LocalRunner
from tests.cli.shop import BANK, order

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide"
PAGES = "\n".join(page.read_text() for page in sorted(GUIDE.glob("*.md")))
COMMON = {"--backend", "--table", "--region", "--profile", "--app", "--json", "--help"}
HEADING = re.compile(r"^#+ `(durable-fn [^`]+)`$(.*?)(?=^#+ |\Z)", re.M | re.S)
SECTIONS: dict[str, str] = dict(HEADING.findall(PAGES))


def commands(group: Any = None, path: str = "durable-fn") -> Iterator[tuple[str, Any]]:
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands())
FILTERS = {
    option
    for parameter in COMMANDS["durable-fn export"].params
    for option in (*parameter.opts, *parameter.secondary_opts)
    if parameter.name in filters._options.__annotations__
}


def test_there_are_commands() -> None:
    assert {"durable-fn list", "durable-fn callback complete", "durable-fn doctor"} <= COMMANDS.keys()
    assert "--overdue" in FILTERS


@pytest.mark.parametrize("name", COMMANDS)
def test_it_is_documented(name: str) -> None:
    assert name in SECTIONS, f"no page of docs/guide has a heading `{name}`"


@pytest.mark.parametrize("name", COMMANDS)
def test_its_options_are_documented(name: str) -> None:
    section = SECTIONS.get(name, "")
    for parameter in COMMANDS[name].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("-") and option not in COMMON | FILTERS:
                assert re.search(rf"{re.escape(option)}(?![\w-])", section), f"{name} {option}"


def test_what_is_common_is_documented() -> None:
    page = (GUIDE / "command-line.md").read_text()
    for option in (*COMMON, *FILTERS, "--version", "--install-completion", "--show-completion"):
        assert f"`{option}" in page or f"{option}`" in page, option


@pytest.mark.parametrize("name", SECTIONS)
def test_what_is_documented_is_there(name: str) -> None:
    assert name in COMMANDS


def test_every_kind_of_json_is_documented() -> None:
    page = (GUIDE / "json.md").read_text()
    files = [file.read_text() for file in (ROOT / "durable_fn" / "cli").glob("*.py")]
    kinds = {kind for text in files for kind in re.findall(r'emit\(\s*"(\w+)"', text)}
    assert len(kinds) >= 12
    for kind in kinds:
        assert f"`durable_fn.{kind}`" in page


def test_every_field_of_a_history_is_documented() -> None:
    page = (GUIDE / "history.md").read_text()
    BANK["up"] = False
    with LocalRunner(order) as runner:
        runner.run("apple", "x")
        runner.client.redrive("x", by="ada", reason="why")
        document = runner.client.document("x")
    BANK["up"] = True
    fields = {
        *document,
        *document["execution"],
        *document["invocations"][0],
        *(f for e in document["events"] for f in e),
    }
    assert {"by", "reason", "code_version", "forgotten"} <= fields
    for field in fields:
        assert f"`{field}`" in page, field
