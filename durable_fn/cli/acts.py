"""Commands that act: they start, answer, steer and remove."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer
from rich.text import Text

from ..client import DurableClient
from ..types import ExecutionFilter
from . import screens
from .bulk import AllOption, Choice, ConfirmOption, DryRunOption, IdsArgument, do
from .command import FAILED, ByOption, IdArgument, ReasonOption, Target, emit, load, on_journal, say
from .filters import filtered

callback = typer.Typer(help="Answer a callback in the place of whom it was given to.", no_args_is_help=True)

TokenArgument = Annotated[str | None, typer.Argument(help="The token, as it was handed out.", metavar="TOKEN")]
CallbackIdOption = Annotated[
    str | None, typer.Option("--id", help="Instead of the token: the execution, with --name.", metavar="ID")
]
CallbackNameOption = Annotated[
    str | None, typer.Option("--name", help="The name of the callback's operation, or name:key.", metavar="NAME")
]


def parsed(text: str, what: str) -> Any:
    """JSON: itself, or the file behind @, or standard input for -. Raises ValueError."""
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text("utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"{what} is no JSON ({error}): {text[:80]!r}. A text needs its quotes, as in '\"text\"'; @FILE reads a file"
        ) from None


# -- new work ------------------------------------------------------------------------------------------------------------


@on_journal
def start(
    target: Target,
    function: Annotated[str, typer.Argument(help="Its name, or module:handler.", metavar="FUNCTION")],
    payload: Annotated[str, typer.Argument(help="JSON; @FILE, or - for standard input.", metavar="PAYLOAD")] = "null",
    *,
    id: Annotated[
        str | None, typer.Option("--id", help="The execution id. Default: the function's own rule, or a new one.")
    ] = None,
    delay: Annotated[float, typer.Option(help="Seconds until it begins.", min=0)] = 0,
    if_exists: Annotated[
        str, typer.Option(help='"attach" to an execution with the same payload, or "reject".')
    ] = "attach",
    wait: Annotated[float | None, typer.Option(help="Wait for its end, so many seconds.", min=0)] = None,
) -> None:
    """Start an execution."""
    client = target.writer()
    what = load(function) if ":" in function else function
    exists = cast("Literal['attach', 'reject']", if_exists)
    found = client.start(what, parsed(payload, "the payload"), id=id, delay=delay or None, if_exists=exists)
    if wait is None:
        emit("started", id=found) if target.json else say(screens.plain(found))
        return
    info = client.wait(found, timeout=wait)
    if target.json:
        emit("execution", execution=info.to_json(), waits=[], unread=None)
    else:
        told = info.result if info.status == "SUCCEEDED" else (info.error or {}).get("message", "")
        say(
            Text.assemble(
                screens.plain(found), ": ", screens.status_of(info), screens.plain(f" {screens.shorten(told, 1000)}")
            )
        )
    if info.status != "SUCCEEDED":
        raise typer.Exit(FAILED)


@on_journal
def fork(
    target: Target,
    id: IdArgument,
    *,
    from_step: Annotated[
        str, typer.Option(help="The operation from which on everything is done anew.", metavar="OPERATION")
    ],
    new_id: Annotated[str | None, typer.Option(help="The id of the copy. Default: a new one.", metavar="ID")] = None,
    reason: ReasonOption = None,
    by: ByOption = None,
) -> None:
    """A copy that goes on from an operation, with the code of today."""
    made = target.writer().fork(id, from_step=from_step, new_id=new_id, reason=reason, by=by)
    emit("started", id=made) if target.json else say(screens.plain(made))


# -- answers -------------------------------------------------------------------------------------------------------------


@on_journal
def signal(
    target: Target,
    id: IdArgument,
    name: Annotated[str, typer.Argument(help="The signal's name.", metavar="NAME")],
    payload: Annotated[str, typer.Argument(help="JSON; @FILE, or - for standard input.", metavar="PAYLOAD")] = "null",
    *,
    signal_id: Annotated[
        str | None, typer.Option(help="A second one with this id, within 30 days, is dropped.")
    ] = None,
    by: ByOption = None,
) -> None:
    """Send a signal to an execution."""
    target.writer().signal(id, name, parsed(payload, "the payload"), signal_id=signal_id, by=by)
    _done(target, "signal", id, f"{id}: signal {name!r} sent")


@callback.command("complete")
@on_journal
def complete(
    target: Target,
    token: TokenArgument = None,
    *,
    id: CallbackIdOption = None,
    name: CallbackNameOption = None,
    result: Annotated[str, typer.Option(help="JSON; @FILE, or - for standard input.")] = "null",
    by: ByOption = None,
) -> None:
    """The answer has come."""
    client = target.writer()
    client.complete_callback(_token(client, token, id, name), parsed(result, "the result"), by=by)
    _done(target, "complete", id, "The callback is completed.")


@callback.command("fail")
@on_journal
def fail(
    target: Target,
    token: TokenArgument = None,
    *,
    message: Annotated[str, typer.Option(help="What went wrong.")],
    error_type: Annotated[str, typer.Option(help="What the other side calls it.")] = "CallbackFailed",
    id: CallbackIdOption = None,
    name: CallbackNameOption = None,
    by: ByOption = None,
) -> None:
    """There will be no answer."""
    client = target.writer()
    client.fail_callback(_token(client, token, id, name), message, error_type, by=by)
    _done(target, "fail", id, "The callback has failed.")


@callback.command("heartbeat")
@on_journal
def heartbeat(
    target: Target,
    token: TokenArgument = None,
    *,
    id: CallbackIdOption = None,
    name: CallbackNameOption = None,
) -> None:
    """The answer will come: its heartbeat timeout begins anew."""
    client = target.writer()
    client.heartbeat_callback(_token(client, token, id, name))
    _done(target, "heartbeat", id, "The callback's heartbeat was taken.")


def _token(client: DurableClient, token: str | None, id: str | None, name: str | None) -> str:
    """Raises ValueError and LookupError."""
    if token is not None and id is None and name is None:
        return token
    if token is None and id is not None and name is not None:
        return client.callback_token(id, name)
    raise ValueError("name the callback by its token, or by --id and --name")


def _done(target: Target, verb: str, id: str | None, text: str) -> None:
    if target.json:
        emit("done", verb=verb, dry_run=False, executions=[{"id": id, "done": True, "told": None, "error": None}])
    else:
        say(screens.plain(text))


# -- steering, one or many -----------------------------------------------------------------------------------------------


@on_journal
@filtered
def cancel(
    target: Target,
    ids: IdsArgument = None,
    *,
    wanted: ExecutionFilter,
    reason: ReasonOption = None,
    by: ByOption = None,
    dry_run: DryRunOption = False,
    confirm: ConfirmOption = None,
    all_: AllOption = False,
) -> None:
    """Ask executions to end: their compensations run, then they are CANCELLED."""
    choice = Choice(ids or [], wanted, dry_run, confirm, all_)
    do(target, "cancel", choice, lambda client, id: client.cancel(id, reason, by=by))


@on_journal
@filtered
def terminate(
    target: Target,
    ids: IdsArgument = None,
    *,
    wanted: ExecutionFilter,
    reason: ReasonOption = None,
    by: ByOption = None,
    dry_run: DryRunOption = False,
    confirm: ConfirmOption = None,
    all_: AllOption = False,
) -> None:
    """End executions at once: no code of yours runs."""
    choice = Choice(ids or [], wanted, dry_run, confirm, all_)
    do(target, "terminate", choice, lambda client, id: client.terminate(id, reason, by=by))


@on_journal
@filtered
def redrive(
    target: Target,
    ids: IdsArgument = None,
    *,
    wanted: ExecutionFilter,
    from_step: Annotated[
        str | None,
        typer.Option(help="Forget everything from this operation on. Default: what it ended by.", metavar="OPERATION"),
    ] = None,
    reason: ReasonOption = None,
    by: ByOption = None,
    dry_run: DryRunOption = False,
    confirm: ConfirmOption = None,
    all_: AllOption = False,
) -> None:
    """Go on with executions that failed, ended or are held."""
    choice = Choice(ids or [], wanted, dry_run, confirm, all_, from_step is not None)

    def act(client: DurableClient, id: str) -> str:
        cut = client.redrive(id, from_step=from_step, reason=reason, by=by)
        return f"from {cut!r}" if cut else "nothing was forgotten"

    do(target, "redrive", choice, act)


@on_journal
@filtered
def purge(
    target: Target,
    ids: IdsArgument = None,
    *,
    wanted: ExecutionFilter,
    reason: ReasonOption = None,
    by: ByOption = None,
    dry_run: DryRunOption = False,
    confirm: ConfirmOption = None,
    all_: AllOption = False,
) -> None:
    """Remove executions that have ended, with all they stored."""
    choice = Choice(ids or [], wanted, dry_run, confirm, all_)
    do(target, "purge", choice, lambda client, id: client.purge(id, reason=reason, by=by))


@on_journal
def sweep(target: Target) -> None:
    """Send lost wake messages again, once, as the sweeper does every minute."""
    from ..sweeper import sweep as swept

    backend = target.world()
    if backend.kind == "sqlite":
        raise RuntimeError("an embedded journal has no messages that could be lost: start a worker, which polls it")
    report = asdict(swept(backend))
    if target.json:
        emit("swept", **report)
    else:
        say(*screens.facts((name, str(count)) for name, count in report.items()))
    if report["failed"]:
        raise typer.Exit(FAILED)
