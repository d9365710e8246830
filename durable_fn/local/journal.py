"""The embedded journal that a server on this machine keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from ..backends.ports import Backend
from ..backends.sqlite import SQLiteStore

FOLDER: Final = ".durable-fn"
"""In the directory where `durable-fn dev` is started."""


def embedded(backend: Backend) -> SQLiteStore:
    """The store below what packs its values. Raises TypeError for a backend that is none of this machine's."""
    if backend.kind != "sqlite":
        raise TypeError("only an embedded journal is served from here; on AWS, Lambda runs the functions")
    store: Any = backend.store
    found: SQLiteStore = store.store
    return found


def default_url(directory: Path) -> str:
    """Of the journal that `durable-fn dev` keeps between its runs; git does not see it."""
    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return f"sqlite:///{quote(str((folder / 'journal.db').resolve()))}"


def path_of(url: str) -> str:
    """The file of a `sqlite:///` address that `wiring` has accepted."""
    return unquote(urlsplit(url).path.removeprefix("/"))
