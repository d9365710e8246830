"""`durable-fn check`: what in handlers may be different on a replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from . import screens
from .command import FAILED, JsonOption, emit, say, telling
from .nondeterminism import Finding, findings

_PASSED_OVER: Final = frozenset({"node_modules", "site-packages", "__pycache__", "build", "dist"})


def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders; here by default.", metavar="PATH")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Look for code in handlers that a replay may run otherwise: clocks, random, uuid, network, environment, files, sets."""
    found: list[Finding] = []
    unread: list[tuple[str, str]] = []
    files = handlers = 0
    with telling(as_json=json):
        for path in _files(paths or [Path()]):
            files += 1
            try:
                more, count = findings(path.read_text("utf-8"), str(path))
            except (SyntaxError, ValueError) as error:
                unread.append((str(path), str(error)))
            else:
                found, handlers = found + more, handlers + count
    if json:
        rows = [finding._asdict() for finding in found]
        emit("check", findings=rows, unread=[{"file": f, "why": w} for f, w in unread], files=files, handlers=handlers)
    else:
        _show(found, unread, files, handlers)
    if found or unread:
        raise typer.Exit(FAILED)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from sorted(file for file in path.rglob("*.py") if not _passed_over(file.relative_to(path)))
        else:
            raise FileNotFoundError(f"there is no file or folder {str(path)!r}")


def _passed_over(path: Path) -> bool:
    return any(part in _PASSED_OVER or part.startswith(".") for part in path.parts[:-1])


def _show(found: list[Finding], unread: list[tuple[str, str]], files: int, handlers: int) -> None:
    for finding in found:
        place = f"{finding.file}:{finding.line}:{finding.column}"
        say(
            Text.assemble(
                screens.plain(f"{place}: ", "bold"),
                screens.plain(f"{finding.what} in {finding.handler}: {finding.why}"),
            )
        )
        say(Text.assemble(("    fix: ", "green"), screens.plain(finding.fix)))
    for file, why in unread:
        say(screens.plain(f"{file}: cannot be read: {why}", "red"))
    count = f"{len(found)} finding{'' if len(found) == 1 else 's'}"
    say(Text(f"{count} in {handlers} handlers of {files} files.", "bold" if found else ""))
