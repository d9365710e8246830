"""At-most-once bodies that began and whose outcome nobody knows.

A redrive forgets such a step only if it names that step. Any other redrive keeps what is known of it, by its id alone: the code
gets StepInterrupted again when it calls the step.
"""

from __future__ import annotations

from typing import Final

from . import failures
from .events import BEGUN, FAILED, RETRY, SUCCEEDED, Event, laid_aside, picked_up
from .kinds import STEP

TYPE: Final = "durable_fn.errors.StepInterrupted"
FAILURE: Final = failures.Failure(TYPE, "", "", None, None, own=True)


def is_interrupted(event: Event) -> bool:
    """Whether this is the last word of a step that was interrupted."""
    if event.kind != STEP or event.status != FAILED or TYPE not in event.value:
        return False
    failure = failures.decode(event.value)
    return failure.own and failure.error_type == TYPE


def kept(events: list[Event], gone: set[int], target: str | None) -> dict[int, Event]:
    """Entries, by place, that keep the interruption of each step that the redrive would forget, except for the `target`.
    Removes these places from `gone`."""
    begun = {id: place for id, place in _begun(events).items() if id != target}
    if not begun:
        return {}
    places: dict[str, list[int]] = {id: [] for id in begun}
    for place, event in enumerate(events):
        if event.id in places:
            places[event.id].append(place)
    stay: dict[int, Event] = {}
    for id, all_of_it in places.items():
        if gone.intersection(all_of_it):
            gone.update(all_of_it)
            gone.discard(begun[id])
            stay[begun[id]] = _told(events[begun[id]])
    return stay


def _begun(events: list[Event]) -> dict[str, int]:
    """By interrupted step the place of the entry that shows it: its failure, or its beginning if no other entry followed."""
    found: dict[str, int] = {}
    for place, event in enumerate(events):
        if event.kind != STEP:
            continue
        known = picked_up(event) or event
        if known.status == BEGUN or is_interrupted(known):
            found[event.id] = place
        elif known.status in (SUCCEEDED, FAILED, RETRY):
            found.pop(event.id, None)
    return found


def _told(event: Event) -> Event:
    known = picked_up(event) or event
    value = known.value if known.status == FAILED else failures.encode(FAILURE)
    return laid_aside(
        Event(event.id, event.kind, event.position, FAILED, event.attempt, event.at, 0, value, event.asked)
    )
