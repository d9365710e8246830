"""What holds for every annotation and every value of it: it comes back equal, type for type, on the first run and on each replay,
or is refused before anything followed from it. Bodies run once in any case."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable, step
from durable_fn.errors import SerializationError
from durable_fn.testing import LocalRunner
from durable_fn.values.adapters import TypedAdapter, adapter
from tests.environments import World
from tests.values.shapes import Drawn, drawn, json_value, misfit
from tests.values.telling import told

REFUSED = "refused"


def drawn_many(seeds: Iterable[int], draw: Callable[[int], Drawn] = drawn) -> list[Drawn]:
    """Without those that pydantic has no class for (`typing.TypedDict` in a model, before Python 3.12)."""
    found = []
    for seed in seeds:
        try:
            found.append(draw(seed))
        except Exception as error:
            if type(error).__name__ != "PydanticUserError":
                raise
    return found


# -- without an execution ------------------------------------------------------------------------------------------


def written_and_read(case: Drawn) -> str | None:
    """What is wrong, if something is. Read by the form that wrote it, and by one that is made anew."""
    try:
        kind = adapter(case.annotation)
        kind.check(outside=False)
        text, value = kind.keep(case.value, "it")
    except SerializationError:
        return REFUSED
    again = TypedAdapter(case.annotation) if kind.typed else kind
    for back in (value, kind.decode(text, "it"), again.decode(text, "it")):
        if repr(told(back)) != repr(told(case.value)):
            return f"{case}\n  was {told(case.value)}\n  is  {told(back)}\n  as  {text[:500]}"
    return None


def misfit_is_refused(seed: int) -> str | None:
    """What is wrong, if something is. Where the annotation takes the value, it is the same but for what annotations say."""
    try:
        (case,) = drawn_many([seed], misfit)
        value = adapter(case.annotation).keep(case.value, "it").value
    except (SerializationError, ValueError):
        return REFUSED
    if repr(told(value, loosely=True)) != repr(told(case.value, loosely=True)):
        return f"{case}\n  was {told(case.value)}\n  is  {told(value)}"
    return None


def read_by_another(case: Drawn, other: Drawn) -> None:
    """What was recorded for another annotation is read, or refused in words."""
    try:
        text = adapter(case.annotation).keep(case.value, "it").text
        adapter(other.annotation).decode(text, "it")
    except SerializationError:
        pass


def taken_as_it_is(seed: int, annotation: Any) -> None:
    """Data from outside does not turn into anything by looking like a tag."""
    import json

    data = json_value(random.Random(seed), 3)
    if annotation in (dict, dict[str, Any]):
        data = {"$": "uuid", "v": data}
    kept = adapter(annotation).receive(json.dumps(data), "it")
    for value in (kept.value, adapter(annotation).decode(kept.text, "it")):
        assert repr(told(value)) == repr(told(data)), (seed, data, kept)


# -- in executions -------------------------------------------------------------------------------------------------


class Notes:
    """What the handler saw of each value, in each invocation, and how often each body ran."""

    def __init__(self, cases: list[Drawn]) -> None:
        self.cases = cases
        self.seen: dict[tuple[int, str], list[str]] = {}
        self.bodies: Counter[int] = Counter()

    def body(self, case: Drawn) -> Any:
        def give() -> Any:
            self.bodies[case.seed] += 1
            return case.value

        return step(give, name=f"s{case.seed}", result_type=case.annotation)

    def note(self, case: Drawn, how: str, value: Any) -> None:
        shown = REFUSED if isinstance(value, SerializationError) else repr(told(value))
        self.seen.setdefault((case.seed, how), []).append(shown)

    def problems(self) -> list[str]:
        found = [f"seed {seed}: its body ran {count} times" for seed, count in self.bodies.items() if count != 1]
        expected = {case.seed: repr(told(case.value)) for case in self.cases}
        for (seed, how), seen in self.seen.items():
            if len(set(seen)) != 1 or seen[0] not in (REFUSED, expected[seed]):
                found.append(f"seed {seed}, {how}: {drawn(seed)}\n  seen {seen}")
        return found


def _branch(front: str, case: Drawn) -> Any:
    def plain(*_: Any) -> Any:
        return case.value

    async def native(*_: Any) -> Any:
        return case.value

    chosen = plain if front == "def" else native
    chosen.__annotations__["return"] = case.annotation
    return chosen


OTHERS: tuple[tuple[str, Callable[[Any, Any, Drawn], Any], Callable[[Any], Any]], ...] = (
    ("poll", lambda ctx, branch, case: ctx.poll(branch, initial=case.value, until=lambda _: True), lambda found: found),
    ("race", lambda ctx, branch, case: ctx.race([branch]), lambda found: found[1]),
    ("map", lambda ctx, branch, case: ctx.map(branch, [0, 1]), lambda found: found.results[1]),
)
"""Of each value one of these, too: its name, how it is asked for, and what of the answer is the value."""


def returning(front: str, notes: Notes) -> DurableFunction[Any, Any]:
    """A handler that gets each value from a step, a child, a branch and one of the others, and waits now and then."""

    @durable(name="values")
    def plain(event: Any, ctx: DurableContext) -> None:
        for case in notes.cases:
            give, branch = notes.body(case), _branch("def", case)
            _noted(notes, case, "step", lambda give=give: ctx.step(give))
            _noted(notes, case, "child", lambda branch=branch: ctx.child(branch))
            _noted(notes, case, "branch", lambda branch=branch: ctx.parallel([branch]).results[0])
            name, ask, value_of = OTHERS[case.seed % 3]
            _noted(notes, case, name, lambda ask=ask, of=value_of, branch=branch, case=case: of(ask(ctx, branch, case)))
            if case.seed % 5 == 0:
                ctx.sleep(60)
        ctx.sleep(60)

    @durable(name="values")
    async def native(event: Any, ctx: AsyncDurableContext) -> None:
        async def of_branch(branch: Any) -> Any:
            return (await ctx.parallel([branch])).results[0]

        async def of_other(asked: Any, value_of: Any) -> Any:
            return value_of(await asked)

        for case in notes.cases:
            branch = _branch("async def", case)
            await _awaited(notes, case, "step", ctx.step(notes.body(case)))
            await _awaited(notes, case, "child", ctx.child(branch))
            await _awaited(notes, case, "branch", of_branch(branch))
            name, ask, value_of = OTHERS[case.seed % 3]
            await _awaited(notes, case, name, of_other(ask(ctx, branch, case), value_of))
            if case.seed % 5 == 0:
                await ctx.sleep(60)
        await ctx.sleep(60)

    return plain if front == "def" else native


def _noted(notes: Notes, case: Drawn, how: str, get: Any) -> None:
    try:
        notes.note(case, how, get())
    except Exception as error:
        notes.note(case, how, _refusal(error))


async def _awaited(notes: Notes, case: Drawn, how: str, getting: Any) -> None:
    try:
        notes.note(case, how, await getting)
    except Exception as error:
        notes.note(case, how, _refusal(error))


def _refusal(error: Exception) -> Exception:
    """A fan wraps what its branches raise."""
    return error.__cause__ if isinstance(error.__cause__, SerializationError) else error


def come_back(world: World, front: str, seeds: Iterable[int], id: str) -> list[str]:
    notes = Notes(drawn_many(seeds))
    world.run(returning(front, notes), None, id)
    world.advance(3600)
    header = world.backend.store.get(id)
    assert header is not None
    if header.status != "SUCCEEDED":
        return [f"{header.status}: {header.error}"]
    return notes.problems()


def started_with(front: str, case: Drawn) -> list[str]:
    """As the event: the object that was started with, or what its JSON data validates as; the same in each invocation."""
    notes = Notes([case])

    def plain(event: Any, ctx: DurableContext) -> Any:
        notes.note(case, "event", event)
        ctx.sleep(60)
        return case.value

    async def native(event: Any, ctx: AsyncDurableContext) -> Any:
        notes.note(case, "event", event)
        await ctx.sleep(60)
        return case.value

    chosen: Any = plain if front == "def" else native
    chosen.__annotations__.update({"event": case.annotation, "return": case.annotation})
    with LocalRunner(durable(name="values")(chosen)) as runner:
        try:
            execution = runner.run(case.value)
        except SerializationError:
            return [] if not notes.seen else ["it was refused, and ran"]
        seen = notes.seen[case.seed, "event"]
        if execution.status == "SUCCEEDED":
            notes.note(case, "result", execution.result)
        elif not isinstance(execution.error, SerializationError):
            return [f"{case}: {execution.status}, {execution.error}"]
    if len(set(seen)) != 1:
        return [f"{case}: the invocations saw {seen}"]
    if _is_json(case.value):
        del notes.seen[case.seed, "event"]
    return notes.problems()


def _is_json(value: Any) -> bool:
    import json

    try:
        return repr(told(json.loads(json.dumps(value)))) == repr(told(value))
    except (TypeError, ValueError):
        return False
