"""`durable-fn cost`: what an execution costs, and what the same would cost elsewhere."""

from __future__ import annotations

from rich.text import Text

from ..backends.ports import JournalStore, Loaded
from ..client import DurableClient
from . import screens
from .bills import SOURCES, Bill, bill
from .command import IdArgument, Target, emit, on_journal, say


@on_journal
def cost(target: Target, id: IdArgument) -> None:
    """Requests, units and dollars of an execution, beside what the same would cost elsewhere."""
    backend = target.world(read_only=True)
    header = DurableClient(backend).describe(id)
    found = bill(_loaded(backend.store, id), _loaded(getattr(backend.store, "store", backend.store), id))
    if target.json:
        emit("cost", id=id, **found.to_json())
    else:
        say(Text.assemble(screens.plain(id, "bold"), ": ", screens.status_of(header)), *_lines(found))


def _loaded(store: JournalStore, id: str) -> Loaded:
    """With the values of its end. Raises LookupError."""
    header = store.get(id)
    loaded = None if header is None else store.load(header.key)
    if loaded is None or header is None:
        raise LookupError(f"execution {id!r} was removed, or went on as a new generation, just now; try again")
    loaded.header = header
    return loaded


def _lines(found: Bill) -> list[Text]:
    counts = [
        ("writes", f"{found.writes:,} requests, {found.write_units:,} units"),
        ("index of due times", f"{found.index_units:,} units"),
        ("index for lists", f"{found.listing_units:,} units (none without the index)"),
        ("reads", f"{found.reads:,} requests, {found.read_units:,} units"),
        ("messages", f"{found.messages:,}"),
        ("schedules", f"{found.schedules:,}" if found.schedules else ""),
        ("dollars", _dollars(found.dollars)),
    ]
    rows = [(other.name, f"{_dollars(other.dollars)}: {other.units:,} {other.unit}") for other in found.elsewhere()]
    said = (
        "Reckoned from what it stored, at list prices of us-east-1 on demand, November 2026. Lambda's own price is left "
        "out: it is the same there, but for Step Functions, which waits for it."
    )
    sources = [screens.plain(f"  {name}: {url}", "dim") for name, url in SOURCES.items()]
    return [
        *screens.facts(counts),
        Text("the same elsewhere", "bold"),
        *screens.facts(rows),
        Text(said, "dim"),
        *sources,
    ]


def _dollars(amount: float) -> str:
    return f"${amount:.8f}, ${amount * 1e6:,.2f} a million times"
