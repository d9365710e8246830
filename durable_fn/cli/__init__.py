"""The `durable-fn` command. Needs the extra `cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point: says what to install where the extra is missing."""
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        sys.exit(f"durable-fn needs {error.name}, which is not installed: pip install 'durable-fn[cli]'")
    run(sys.argv[1:])
