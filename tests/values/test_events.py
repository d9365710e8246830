"""What comes from outside is validated once: every invocation sees the defaults that were drawn first, and so does the id that is
made of them; a second delivery of the same is the same work."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Any

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.errors import ExecutionConflict, SerializationError
from durable_fn.testing import LocalRunner
from tests.environments import SqliteWorld, World
from tests.triggers.samples import sample
from tests.values.handlers import FRONTS, SEEN, noting


class Order(BaseModel):
    sku: str
    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Ticket:
    sku: str
    number: float = field(default_factory=random.random)


_calls: list[str] = []


def _counted(text: str) -> str:
    _calls.append(text)
    return f"{text} {len(_calls)}"


class Greeting(BaseModel):
    sku: str
    name: str = "Ann"

    @field_validator("sku")
    @classmethod
    def numbered(cls, value: str) -> str:
        return _counted(value)

    @model_validator(mode="after")
    def polite(self) -> Greeting:
        self.name = f"Dear {self.name}"
        return self


class Future(BaseModel):
    sku: str
    when: date = Field(default=date(2026, 1, 1))

    @field_validator("sku")
    @classmethod
    def only_once(cls, value: str) -> str:
        """As a check that the time is in the future: true when it comes, and not later."""
        if _calls:
            raise ValueError("too late")
        _calls.append(value)
        return value


class Sloppy(BaseModel):
    sku: str
    note: str = None  # type: ignore[assignment]
    tags: Annotated[list[str], BeforeValidator(lambda v: v.split(",") if isinstance(v, str) else v)] = Field(
        default="a,b"
    )
    when: Annotated[str, AfterValidator(datetime.fromisoformat)] = "2026-01-01"
    price: Annotated[float, PlainSerializer(lambda v: round(v))] = 1.5


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SEEN.clear()
    _calls.clear()


def once() -> Any:
    """The one value that all invocations saw."""
    assert len(SEEN) >= 4, "each invocation notes it, and a step"
    assert len({repr(one) for one in SEEN}) == 1, SEEN
    return SEEN[0]


def message(body: Any, id: str = "m-1") -> dict[str, Any]:
    arn = "arn:aws:sqs:eu-central-1:123456789012:orders"
    text = json.dumps(body)
    return {
        "messageId": id,
        "body": text,
        "attributes": {},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
    }


def post(body: Any, key: str | None = None) -> dict[str, Any]:
    headers = {"content-type": "application/json"} | ({} if key is None else {"idempotency-key": key})
    http = {"http": {"method": "POST", "path": "/"}}
    return {"version": "2.0", "rawPath": "/", "headers": headers, "requestContext": http, "body": json.dumps(body),
            "isBase64Encoded": False}  # fmt: skip


def notice(body: Any) -> dict[str, Any]:
    event = sample("sns")
    event["Records"][0]["Sns"]["Message"] = json.dumps(body)
    return event


def on_the_bus(body: Any) -> dict[str, Any]:
    return {"id": "e-1", "source": "shop", "detail-type": "order", "detail": body}


DATA = {"sku": "tea"}
EVENTS = {
    "direct": DATA,
    "http": post(DATA),
    "sqs": {"Records": [message(DATA)]},
    "sns": notice(DATA),
    "eventbridge": on_the_bus(DATA),
}


# -- every way in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_each_trigger(world: World, front: str, event: Any) -> None:
    world.invoke(noting(front, Order), event)
    world.advance(1000)
    assert isinstance(once(), Order)
    assert once().model_fields_set == {"sku"}


@pytest.mark.parametrize("kind", [Order, Ticket, Greeting, Future, Sloppy])
def test_each_kind_of_draw(front: str, kind: Any) -> None:
    with LocalRunner(noting(front, kind)) as runner:
        runner.invoke(DATA)
        runner.advance(1000)
        assert isinstance(once(), kind)
        assert [info.status for info in runner.client.list()] == ["SUCCEEDED"]


def test_what_a_validator_made_is_what_is_stored(front: str) -> None:
    with LocalRunner(noting(front, Greeting)) as runner:
        runner.invoke(DATA)
        runner.advance(1000)
        assert once() == Greeting.model_construct(sku="tea 1", name="Dear Ann")
        assert once().model_fields_set == {"sku", "name"}
        (info,) = runner.client.list()
        assert info.input == {"sku": "tea 1", "name": "Dear Ann"}


def test_values_of_another_type_than_annotated(front: str) -> None:
    """Defaults are not validated, and validators may change a type: what they made is kept."""
    with LocalRunner(noting(front, Sloppy)) as runner:
        runner.invoke(DATA)
        runner.advance(1000)
        found = once()
        assert (found.note, found.tags, found.when, found.price) == (None, "a,b", "2026-01-01", 1.5)
        SEEN.clear()
        runner.invoke(DATA | {"when": "2026-02-03T04:05:06", "tags": "x,y"})
        runner.advance(1000)
        assert (once().when, once().tags) == (datetime(2026, 2, 3, 4, 5, 6), ["x", "y"])


@pytest.mark.parametrize("how", ["data", "object", "mixed", "name"])
def test_starts(world: World, front: str, how: str) -> None:
    """`by name` the sender does not know the type: whoever runs it first validates it."""
    function = noting(front, Order)
    payload: Any = {
        "data": DATA,
        "object": Order(sku="tea"),
        "mixed": {"sku": "tea", "created": datetime(2026, 1, 1, tzinfo=UTC)},
    }
    if how == "name":
        world.run(noting(front, Any), None)
        SEEN.clear()
        if isinstance(world, SqliteWorld):
            runner = world.runner(function)
            runner.client.start("notes", DATA, id="x")
            runner.advance(1000)
        else:
            world.cloud.attach(function)  # type: ignore[attr-defined]
            world.client.start("notes", DATA, id="x")
            world.cloud.run("x")  # type: ignore[attr-defined]
    else:
        world.run(function, payload[how], "x")
        world.advance(1000)
    assert once().sku == "tea"
    if how == "object":
        assert once() == payload["object"]
    if how == "mixed":
        assert once().created == datetime(2026, 1, 1, tzinfo=UTC)
    if how != "name":
        assert world.client.describe("x").input["id"] == str(once().id), "what is shown is what was stored"


@pytest.mark.parametrize("target", ["object", "name"])
@pytest.mark.parametrize("operation", ["call", "send"])
def test_calls(front: str, target: str, operation: str) -> None:
    function = noting(front, Order)

    @durable(name="calls")
    def calls(event: Any, ctx: DurableContext) -> None:
        ctx.step(lambda: None)
        called: Any = function if target == "object" else "notes"
        ctx.call(called, DATA) if operation == "call" else ctx.send(called, DATA)
        ctx.sleep(1000)

    with LocalRunner(calls, function, always_suspend=True) as runner:
        assert runner.run(None).status == "SUCCEEDED"
    once()


def test_the_next_generation(front: str) -> None:
    @durable(name="goes_on")
    def plain(event: Order, ctx: DurableContext) -> Order:
        SEEN.append(event)
        ctx.sleep(100)
        if event.sku == "tea":
            SEEN.clear()
            ctx.continue_as_new({"sku": "coffee"})
        SEEN.append(event)
        ctx.sleep(100)
        SEEN.append(event)
        return event

    @durable(name="goes_on")
    async def native(event: Order, ctx: AsyncDurableContext) -> Order:
        SEEN.append(event)
        await ctx.sleep(100)
        if event.sku == "tea":
            SEEN.clear()
            ctx.continue_as_new({"sku": "coffee"})
        SEEN.append(event)
        await ctx.sleep(100)
        SEEN.append(event)
        return event

    with LocalRunner(plain if front == "def" else native) as runner:
        assert runner.run(Order(sku="tea")).result == once()


# -- ids and deliveries --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [lambda order: f"order-{order.id}", "join('-', ['order', id])"])
def test_the_id_is_made_of_the_same_draw(front: str, rule: Any) -> None:
    with LocalRunner(noting(front, Order, execution_id=rule)) as runner:
        id = runner.invoke(DATA)["execution_id"]
        runner.advance(1000)
        assert id == f"order-{once().id}"


@pytest.mark.parametrize("event", [{"Records": [message(DATA)]}, post(DATA, "k-1"), on_the_bus(DATA)])
@pytest.mark.parametrize("rule", [None, lambda order: order.sku])
def test_a_second_delivery_is_the_same_work(world: World, front: str, event: Any, rule: Any) -> None:
    function = noting(front, Order, execution_id=rule)
    for _ in range(3):
        answer = world.invoke(function, json.loads(json.dumps(event)))
        assert answer.get("batchItemFailures") in (None, []), answer
        assert answer.get("statusCode", 200) in (200, 202)
        world.advance(150)
    world.advance(1000)
    once()
    assert len(list(world.client.list())) == 1


def test_a_start_again_attaches_and_another_payload_conflicts(front: str) -> None:
    function = noting(front, Order)
    with LocalRunner(function) as runner:
        runner.run(DATA, "x")  # type: ignore[arg-type]
        for again in (DATA, {"sku": "tea"}):
            assert runner.client.start(function, again, id="x") == "x"  # type: ignore[arg-type]
        assert runner.client.start("notes", DATA, id="x") == "x"
        stored = runner.client.describe("x").input
        assert runner.client.start(function, stored, id="x") == "x", "written out in full it is the same"
        for other in ({"sku": "coffee"}, Order(sku="tea"), {"sku": "tea", "id": str(uuid.uuid4())}):
            with pytest.raises(ExecutionConflict):
                runner.client.start(function, other, id="x")  # type: ignore[arg-type]


def test_a_death_before_the_draw_was_written_leaves_nothing_that_followed_from_it(front: str) -> None:
    """Started by name: the first invocation draws, and dies wherever it may. All effects are of one draw."""
    from durable_fn.testing.crashes import DyingStore, SimulatedDeath

    for die_at in range(1, 40):
        SEEN.clear()
        effects: list[uuid.UUID] = []

        @durable(name="acts")
        def plain(event: Order, ctx: DurableContext) -> None:
            for _ in range(2):
                ctx.step(effects.append, event.id)
                ctx.sleep(100)

        @durable(name="acts")
        async def native(event: Order, ctx: AsyncDurableContext) -> None:
            for _ in range(2):
                await ctx.step(effects.append, event.id)
                await ctx.sleep(100)

        with LocalRunner(plain if front == "def" else native) as runner:
            runner.client.start("acts", DATA, id="x")
            store = DyingStore(runner.backend.store, die_at)
            runner.backend.store = store  # type: ignore[assignment]
            store.invoked = True
            try:
                runner.advance(1000)
            except SimulatedDeath:
                store.dead = False
                store._die_at = None
                runner.advance(100_000)
            else:
                return
            assert runner.client.describe("x").status == "SUCCEEDED"
            recorded = [e for e in runner.client.history("x") if e.kind == "step"]
            assert len(recorded) == 2
            assert len(set(effects)) == 1


# -- what does not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [{"sku": 5}, {}, "tea", None, [1], Ticket("tea")])
def test_a_payload_that_does_not_fit_starts_nothing(front: str, payload: Any) -> None:
    function = noting(front, Order)
    with LocalRunner(function) as runner:
        for start in (lambda: runner.run(payload), lambda: runner.client.start(function, payload)):
            with pytest.raises(SerializationError, match=r"the payload for 'notes' does not fit its annotation"):
                start()
        assert list(runner.client.list()) == []


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"a": {1: "one", "1": "another"}}, r"\['a'\]: its keys 1 and '1' are one"),
        ([iter([1])], r"\[0\]: .* its items once"),
    ],
)
def test_a_payload_sent_by_name_that_json_would_change(payload: Any, why: str) -> None:
    with LocalRunner(durable(name="target")(lambda event, ctx: None)) as runner:
        with pytest.raises(SerializationError, match=why):
            runner.client.start("target", payload)
        assert list(runner.client.list()) == []


def test_a_payload_sent_by_name_that_does_not_fit_fails_with_what_was_wrong(front: str) -> None:
    with LocalRunner(noting(front, Order)) as runner:
        runner.client.start("notes", {"sku": 5}, id="x")
        runner.run_until_idle()
        info = runner.client.describe("x")
        assert info.status == "FAILED"
        assert info.error is not None
        assert "the event for 'notes' does not fit its annotation: 1 problem: sku" in info.error["message"]
        assert info.input == {"sku": 5}
    assert SEEN == []
