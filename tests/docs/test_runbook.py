"""The night of docs/guide/operating.md: its commands do what the page shows, in its order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from durable_fn.cli.app import app
from tests.cli.night import before
from tests.cli.shop import Shop, order, order_badly_deployed
from tests.docs.test_guide import ROOT, blocks

PAGE = ROOT / "docs" / "guide" / "operating.md"


class Command(NamedTuple):
    """`shown`: lines of its output; an ellipsis in them stands for what is left out."""

    words: list[str]
    shown: list[str]


def commands() -> Iterator[Command]:
    for block in blocks(PAGE, "console"):
        for part in re.split(r"^\$ durable-fn ", block, flags=re.M)[1:]:
            first, _, rest = part.partition("\n")
            yield Command(shlex.split(first), [line for line in rest.splitlines() if line])


def shows(output: str, line: str) -> bool:
    parts = (r"\s+".join(map(re.escape, part.split())) for part in line.split("…"))
    return re.search(".*".join(parts), output) is not None


def test_the_commands_do_what_the_page_shows(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "journal.db")
    before(shop, 20)
    after: dict[str, Callable[[], None]] = {
        "the bank is up again": lambda: shop.work(order_badly_deployed),  # the bad deploy is still there
        "rolled back": lambda: shop.work(order),
    }
    seen = 0
    for command in commands():
        words = [*command.words, "--backend", shop.url]
        run = CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1", "TZ": "UTC"})
        assert run.exception is None or isinstance(run.exception, SystemExit), command
        missing = [line for line in command.shown if not shows(run.output, line)]
        assert not missing, (command.words, run.output)
        for reason, move in after.items():
            if reason in command.words:
                move()
        seen += 1
    assert seen == len(re.findall(r"^\$ ", PAGE.read_text(), re.M)), "every command of the page was run"


def test_a_line_that_is_not_there_is_missed() -> None:
    assert shows("a  b at 3:00 c", "a b … c")
    assert not shows("a  b at 3:00 c", "a b … d")
