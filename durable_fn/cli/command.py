"""What commands have in common: which journal they are about, how they say what is wrong, and their JSON."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_type_hints

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from ..backends.ports import Backend
from ..client import DurableClient
from ..errors import DurableError
from . import screens
from .environment import environment

VERSION: Final = 1
"""Of the JSON that commands print: docs/guide/json.md describes it."""
FAILED: Final = 1
PARTLY: Final = 3
"""Exit codes besides 0. 2 is wrong usage, by Typer."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines (docs/guide/json.md).")]
IdArgument = Annotated[str, typer.Argument(help="The execution id.", metavar="ID")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why, for the history.")]
ByOption = Annotated[
    str | None, typer.Option("--by", help="Who, for the history. Default: DURABLE_FN_ACTOR, else nobody.")
]


@dataclass(frozen=True)
class Target:
    """The journal that a command is about, and how it prints."""

    backend: str | None
    table: str | None
    region: str | None
    profile: str | None
    app: str | None
    json: bool

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """What is said on the command line goes before the environment."""
        changes: dict[str, str | None] = {}
        if self.backend is not None and self.table is not None:
            raise typer.BadParameter("--backend and --table name two journals: give one of them")
        if self.backend is not None:
            changes["DURABLE_FN_BACKEND"] = self.backend
        if self.table is not None:
            changes |= {"DURABLE_FN_TABLE": self.table, "DURABLE_FN_BACKEND": None}
        if self.region is not None:
            changes |= {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        if self.profile is not None:
            changes["AWS_PROFILE"] = self.profile
        with environment(changes):
            if self.app is not None:
                load(self.app)
            yield

    def reader(self) -> DurableClient:
        """To look with: it makes no file, and changes none."""
        return DurableClient(self.world(read_only=True))

    def writer(self) -> DurableClient:
        """To act with. A file has to be a journal already: who mistypes its name must not get a new one."""
        return DurableClient(self.world())

    def world(self, *, read_only: bool = False) -> Backend:
        from ..wiring import from_environment

        if not os.environ.get("DURABLE_FN_BACKEND") and not os.environ.get("DURABLE_FN_TABLE"):
            raise RuntimeError(
                "DURABLE_FN_TABLE is not set: name the journal by --table NAME or --backend sqlite:///journal.db, or set "
                "DURABLE_FN_TABLE or DURABLE_FN_BACKEND"
            )
        backend = from_environment(read_only=True)
        return backend if read_only or backend.kind == "aws" else from_environment()


def load(name: str) -> Any:
    """A module of the user's, found from the working directory too, or what stands in it behind a colon. Raises ValueError."""
    module, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{name!r} cannot be imported: {error}. Write package.module, or package.module:name"
        ) from error


def _options(
    backend: Annotated[
        str | None,
        typer.Option("--backend", help="sqlite:///path/to/journal.db. Default: the environment (DURABLE_FN_*)."),
    ] = None,
    table: Annotated[str | None, typer.Option("--table", help="The journal's DynamoDB table.")] = None,
    region: Annotated[str | None, typer.Option("--region", help="Its AWS region.")] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="A profile of your AWS configuration.")] = None,
    app: Annotated[
        str | None,
        typer.Option(
            "--app", help="A module of yours to import before: one that configures a codec.", metavar="MODULE"
        ),
    ] = None,
    json: JsonOption = False,
) -> None: ...


def on_journal(function: Callable[..., None]) -> Callable[..., None]:
    """A command that is about a journal: its first argument is the target, whose options are added to its own."""
    hints = get_type_hints(function, include_extras=True)
    own = list(inspect.signature(function).parameters.values())[1:]
    more = list(inspect.signature(_options).parameters.values())
    kinds = get_type_hints(_options, include_extras=True) | hints

    @functools.wraps(function)
    def wrapper(**given: Any) -> None:
        target = Target(**{parameter.name: given.pop(parameter.name) for parameter in more})
        with telling(as_json=target.json), target.chosen():
            function(target, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(annotation=kinds[p.name], kind=keyword) for p in (*own, *more)]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


@contextmanager
def telling(*, as_json: bool = False) -> Iterator[None]:
    """Errors that are the user's to mend, in one line, or as JSON. Exit code 1."""
    try:
        yield
    except (DurableError, RuntimeError, LookupError, ValueError, OSError) as error:
        if isinstance(error, typer.Exit):
            raise
        raise failure(error, as_json=as_json) from error
    except Exception as error:
        if not type(error).__module__.startswith("botocore."):
            raise
        raise failure(error, as_json=as_json) from error


def failure(error: Exception, *, as_json: bool) -> typer.Exit:
    if as_json:
        emit("error", error={"error_type": type(error).__name__, "message": str(error)})
    else:
        said = Text.assemble(("Error: ", "bold red"), screens.plain(str(error)))
        Console(stderr=True, highlight=False).print(said, soft_wrap=True)
    return typer.Exit(FAILED)


def emit(kind: str, **fields: Any) -> None:
    """JSON, always an object that says what it is."""
    echo({"format": f"durable_fn.{kind}", "version": VERSION, **fields})


def echo(data: Any) -> None:
    typer.echo(screens.as_json(data))


def say(*lines: RenderableType) -> None:
    """Lines as they are: the terminal wraps them, and no id is broken."""
    console = Console(highlight=False)
    for line in lines:
        console.print(line, soft_wrap=True)
