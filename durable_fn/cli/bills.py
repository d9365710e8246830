"""What an execution costs: requests and units, reckoned from what it stored, by the protocol's budget.

The journal does not count its own requests. What it stored says how many there were where nothing went wrong: a start, an
acquire for each turn, a put for each segment, a suspend before each further turn, an end. What was tried in vain (lost
replies, conflicts, heartbeats) is not in it. Lambda's own price is the same everywhere and left out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from ..backends.ports import Loaded
from ..log.events import BEGUN, FAILED, NO_OPERATIONS, RETRY, SUCCEEDED, Event, is_fence, parse, parse_body
from ..log.header import PACKED, Header
from ..log.kinds import BRANCH, CALL, CALLBACK, FENCE, OUTSIDE, PATCH, POLL, SLEEP, STEP, WAIT

# US dollars per million in us-east-1, on demand, November 2026.
WRITE_UNITS: Final = 0.625
READ_UNITS: Final = 0.125
SQS: Final = 0.40
"""A message is three requests: sent, received, deleted."""
SCHEDULES: Final = 1.00
AWS_DURABLE_OPERATIONS: Final = 8.00
STATE_TRANSITIONS: Final = 25.00
SOURCES: Final = {
    "DynamoDB": "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "SQS": "https://aws.amazon.com/sqs/pricing/",
    "EventBridge Scheduler": "https://aws.amazon.com/eventbridge/pricing/",
    "AWS Lambda durable functions": "https://aws.amazon.com/lambda/pricing/",
    "AWS Step Functions": "https://aws.amazon.com/step-functions/pricing/",
}
_SHORTEST_MESSAGE_MS: Final = 1000
"""What is shorter is slept through in place."""
_LONGEST_DELAY_MS: Final = 900_000
_AROUND: Final = 130
"""About how many bytes an item has besides its body: keys, names, writer, checksum, ttl."""
_NOT_CHARGED: Final = frozenset({CALLBACK, BRANCH, PATCH})
"""Kinds that are charged elsewhere by another of their entries, or not at all."""


class Elsewhere(NamedTuple):
    """What the same would cost there, in dollars."""

    name: str
    unit: str
    units: int
    dollars: float
    source: str


@dataclass(frozen=True)
class Bill:
    """Of one execution."""

    writes: int
    write_units: int
    index_units: int
    listing_units: int
    reads: int
    read_units: int
    messages: int
    schedules: int
    operations: int
    """What other services would charge for: each attempt and each wait."""

    @property
    def dollars(self) -> float:
        table = (self.write_units + self.index_units + self.listing_units) * WRITE_UNITS + self.read_units * READ_UNITS
        return (table + self.messages * 3 * SQS + self.schedules * SCHEDULES) / 1e6

    def elsewhere(self) -> list[Elsewhere]:
        names = "AWS Lambda durable functions", "AWS Step Functions"
        own, steps = self.operations + 1, self.operations
        return [
            Elsewhere(names[0], "operations", own, own * AWS_DURABLE_OPERATIONS / 1e6, SOURCES[names[0]]),
            Elsewhere(names[1], "state transitions", steps, steps * STATE_TRANSITIONS / 1e6, SOURCES[names[1]]),
        ]

    def to_json(self) -> dict[str, Any]:
        others = [other._asdict() for other in self.elsewhere()]
        return {**asdict(self), "dollars": self.dollars, "elsewhere": others, "sources": SOURCES}


def bill(loaded: Loaded, stored: Loaded) -> Bill:
    """`stored`: the same as it lies there, compressed or encrypted."""
    header, inbox = loaded.header, loaded.inbox
    segments = loaded.segments
    events = [event for segment in segments if not is_fence(segment.body) for event in parse_body(segment.body)]
    deaths = sum(is_fence(segment.body) and parse(segment.body).kind == FENCE for segment in segments)
    turns = header.turns
    suspends = max(0, turns - 1 - deaths) + (header.status == "SUSPENDED")
    delivered = [entry for entry in inbox.values() if not entry.body.startswith(("T", "H")) or "@" in entry.writer]
    over = header.finished is not None
    told = over and header.parent is not None
    timers = [event for event in events if _is_timer(event)]
    long = [event for event in timers if event.due - event.at > _LONGEST_DELAY_MS]
    unsent = sum(event.kind in OUTSIDE for event in long)  # it came before: the schedule sent nothing
    kept = stored.header
    values = [value for value in (kept.input, kept.result, kept.error) if value and _size(value) > 1000]
    writes = 1 + turns + len(segments) + suspends + over + len(inbox) + len(values)
    units = 1 + turns + sum(_units(segment.body) for segment in stored.segments) + suspends
    units += sum(_units(value) for value in values) + (6 if told else int(over)) + 4 * len(inbox)
    reads = max(0, turns - 1) + len(delivered)
    whole = sum(len(segment.body) + _AROUND for segment in segments) + sum(
        len(e.body) + _AROUND for e in inbox.values()
    )
    read_units = sum(-(-max(1, 600 + whole * (n + 1) // max(1, turns)) // 4096) for n in range(1, turns)) + len(
        delivered
    )
    return Bill(
        writes=writes,
        write_units=units,
        index_units=1 + 2 * suspends + 4 * len(delivered) + over + (2 if told else 0) * 2,
        listing_units=1 + 2 * over,
        reads=reads,
        read_units=read_units,
        messages=1 + len(delivered) + len(timers) - unsent + told,
        schedules=len(long),
        operations=_operations(header, events),
    )


def _units(text: str) -> int:
    return -(-(_size(text) + _AROUND) // 1024)


def _size(text: str) -> int:
    """Bytes in the table: what is packed stands there without its base64."""
    return len(text) * 3 // 4 if text.startswith(PACKED) else len(text.encode())


def _is_timer(event: Event) -> bool:
    """A time for which a message was sent."""
    return event.status in (BEGUN, RETRY) and event.due - event.at > _SHORTEST_MESSAGE_MS


def _operations(header: Header, events: list[Event]) -> int:
    """Attempts of steps, and waits."""
    count = 0
    for event in events:
        if event.id in NO_OPERATIONS or not event.id:
            continue
        attempt = event.kind in (STEP, POLL) and event.status in (SUCCEEDED, FAILED, RETRY)
        wait = event.kind in (SLEEP, CALL, *OUTSIDE) and event.status == BEGUN
        other = event.kind not in (STEP, POLL, SLEEP, CALL, WAIT, *OUTSIDE, *_NOT_CHARGED) and event.status == SUCCEEDED
        count += attempt or wait or other
    return count
