"""OpenTelemetry: one trace per execution, every span once, whatever is replayed, dies or fails."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from durable_fn import AsyncDurableContext, DurableContext, RetryPolicy, durable
from durable_fn.errors import CallError
from durable_fn.ext.opentelemetry import DurableIdGenerator, ExecutionIds, OpenTelemetryHooks
from durable_fn.hooks import operation_key
from durable_fn.testing import LocalRunner, crash_everywhere
from tests.corpus.outside import TOKENS
from tests.corpus.shape import Shape
from tests.corpus.topics import SHAPES
from tests.environments import World
from tests.ext.orders import NAMES, handlers

ROOT = Path(__file__).resolve().parents[2]


class Traced:
    """A provider as applications set one up, and what it exported."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.hooks = OpenTelemetryHooks(self.provider)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def traced() -> Traced:
    return Traced()


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def trace_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def check_tree(spans: Sequence[ReadableSpan], *, ended: bool = True) -> None:
    """Every id once; one root for each trace, if its execution has ended; everybody's parent is there."""
    ids = [(trace_of(span), id_of(span)) for span in spans]
    assert not [id for id, count in Counter(ids).items() if count > 1]
    roots = Counter(trace_of(span) for span in spans if span.parent is None)
    if ended:
        assert roots == dict.fromkeys({trace_of(span) for span in spans}, 1)
        assert {(trace_of(span), parent_of(span)) for span in spans if span.parent is not None} <= set(ids)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# -- the tree ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", NAMES)
def test_the_trace_of_an_order(front: str, world: World, traced: Traced) -> None:
    world.run(handlers([traced.hooks])[front], None, "order-1")
    check_tree(traced.spans)
    root = traced.one("order")
    invocations = {attributes(span)["durable.invocation"]: span for span in traced.named("order invocation")}
    assert set(invocations) == {1, 2, 3, 4}
    assert {parent_of(span) for span in invocations.values()} == {id_of(root)}
    assert [attributes(span)["durable.status"] for _, span in sorted(invocations.items())] == [
        "SUSPENDED", "SUSPENDED", "SUSPENDED", "SUCCEEDED",
    ]  # fmt: skip
    assert all(span.kind is SpanKind.SERVER for span in invocations.values())
    attempts = {
        (attributes(span)["durable.operation_id"], attributes(span)["durable.attempt"]): parent_of(span)
        for span in traced.spans
        if "durable.attempt" in attributes(span)
    }
    assert attempts == {
        ("reserve", 1): id_of(invocations[1]),
        ("reserve", 2): id_of(invocations[2]),
        ("boxes/small/pack", 1): id_of(invocations[3]),
        ("boxes/large/pack", 1): id_of(invocations[4]),
    }
    waits = {span.name: span for span in traced.spans if attributes(span).get("durable.kind") in ("sleep", "parallel")}
    assert set(waits) == {"sleep", "forklift", "boxes"}
    assert {parent_of(span) for span in waits.values()} == {id_of(root)}
    assert len(traced.spans) == 1 + 4 + 4 + 3
    assert all(attributes(span)["durable.execution_id"] == "order-1" for span in traced.spans)


@pytest.mark.parametrize("front", NAMES)
def test_true_times(front: str, traced: Traced) -> None:
    runner = LocalRunner(handlers([traced.hooks])[front])
    began = runner.now()
    runner.run(None)

    def took(name: str) -> tuple[float, float]:
        span = traced.one(name)
        assert span.start_time is not None
        assert span.end_time is not None
        return span.start_time / 1e9 - began.timestamp(), (span.end_time - span.start_time) / 1e9

    assert took("order") == (0, 60 + 3600 + 30)
    assert took("sleep") == (60, 3600)
    assert took("boxes") == (3660, 30)
    assert took("forklift") == (3660, 30)


def test_the_last_sleep_is_there(traced: Traced) -> None:
    """Nothing is written for it: the end of the execution says that it is over."""

    @durable(hooks=[traced.hooks])
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.sleep(60)

    LocalRunner(handler).run(None)
    check_tree(traced.spans)
    assert len(traced.named("sleep")) == 1


@pytest.mark.parametrize("front", NAMES)
def test_failures(front: str, traced: Traced) -> None:
    LocalRunner(handlers([traced.hooks], fail=True)[front]).run(None)
    check_tree(traced.spans)
    root, last = traced.one("order"), traced.named("order invocation")[-1]
    for span in (root, last):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "ValueError: no courier"
        (event,) = [event for event in span.events if event.name == "exception"]
        assert (event.attributes or {})["exception.type"] == "ValueError"
    assert [s.status.status_code for s in traced.named("order invocation")[:-1]] == [StatusCode.UNSET] * 3
    first, second = traced.named("reserve")
    assert (first.status.description, second.status.status_code) == ("ConnectionError: no stock", StatusCode.UNSET)
    assert (first.events[0].attributes or {})["exception.message"] == "no stock"


def test_cancellation_is_no_error(traced: Traced) -> None:
    @durable(hooks=[traced.hooks])
    async def handler(event: Any, ctx: AsyncDurableContext) -> None:
        async def forever() -> None:
            await asyncio.sleep(3600)

        task = asyncio.create_task(ctx.step(forever))
        await asyncio.sleep(0.01)
        task.cancel()
        await ctx.wait_for_signal("never")

    runner = LocalRunner(handler)
    runner.run(None, "x")
    runner.cancel("x")
    runner.run_until_idle()
    assert attributes(traced.one("forever"))["durable.cancelled"] is True
    assert traced.one("forever").status.status_code is StatusCode.UNSET
    assert attributes(traced.one("handler"))["durable.status"] == "CANCELLED"
    assert traced.one("handler").status.status_code is StatusCode.UNSET


def test_a_failed_wait(traced: Traced) -> None:
    @durable(hooks=[traced.hooks])
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.callback("approval", timeout=60).result()

    runner = LocalRunner(handler)
    runner.run(None)
    runner.advance(61)
    span = traced.one("approval")
    assert span.status.status_code is StatusCode.ERROR
    assert "durable_fn.errors.CallbackTimeout" in (span.status.description or "")


# -- nothing twice -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", ["sync", "async"])
@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s.fronts) > 1][::3], ids=str)
@pytest.mark.parametrize("always_suspend", [False, True], ids=["", "always suspend"])
def test_every_shape_gives_a_tree(shape: Shape, front: str, always_suspend: bool, traced: Traced) -> None:
    TOKENS.clear()
    with LocalRunner(shape.fronts[front], *shape.others, always_suspend=always_suspend) as runner:
        runner.backend.hooks = (traced.hooks,)
        execution = runner.run(shape.event, "x")
        for _ in range(20):
            if execution.status not in ("PENDING", "RUNNING", "SUSPENDED"):
                break
            if shape.outside is not None:
                shape.outside(runner.client, execution.id)
            runner.run_on(execution)
            if shape.outside is None:
                runner.advance(3600)
        live = [info for info in runner.client.list() if info.finished_at is None]
        check_tree(traced.spans, ended=not live)
        mine = [span for span in traced.spans if attributes(span)["durable.execution_id"] == "x"]
        assert len({trace_of(span) for span in mine}) == 1
        ran = Counter(attributes(s)["durable.operation_id"] for s in mine if "durable.attempt" in attributes(s))
        assert ran.keys() >= {
            event.id for event in execution.history if event.kind == "step" and event.status == "SUCCEEDED"
        }


@pytest.mark.parametrize("front", NAMES)
def test_deaths(front: str, traced: Traced) -> None:
    function = handlers([traced.hooks])[front]

    def check(execution: Any) -> None:
        check_tree(traced.spans, ended=False)
        roots = [span for span in traced.spans if span.parent is None]
        assert len(roots) <= 1  # 0: it died after the end was written, before it was told
        assert len({trace_of(span) for span in traced.spans}) == 1
        assert traced.named("reserve")
        assert traced.named("pack")
        assert max(len(traced.named("sleep")), len(traced.named("boxes"))) <= 1  # 0: likewise
        traced.exporter.clear()

    report = crash_everywhere(function, None, check=check)
    assert report.ok, report


@pytest.mark.parametrize("front", NAMES)
def test_the_same_execution_has_the_same_ids(front: str) -> None:
    def ids() -> set[tuple[int, int, str]]:
        traced = Traced()
        LocalRunner(handlers([traced.hooks])[front]).run(None, "order-1")
        return {(trace_of(span), id_of(span), span.name) for span in traced.spans}

    assert ids() == ids()


def test_the_ids() -> None:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    ids = ExecutionIds("order-1", started)
    assert ids.trace_id >> 96 == started.timestamp(), "X-Ray wants the time of the start in front"
    assert ids.trace_id != ExecutionIds("order-1", started + timedelta(milliseconds=1)).trace_id
    assert ids.trace_id != ExecutionIds("order-2", started).trace_id
    several = [
        ids.execution, ids.invocation(1), ids.invocation(2), ids.attempt(1, "a", 1), ids.attempt(2, "a", 1),
        ids.attempt(1, "a", 2), ids.attempt(1, "a/1", 2), ids.operation(1, "a"), ids.operation(2, "a"),
    ]  # fmt: skip
    assert len({id.span_id for id in several}) == len(several)
    assert all(0 < id.span_id < 2**64 and id.trace_id == ids.trace_id for id in several)


# -- with other traces ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", NAMES)
def test_a_called_execution_points_to_the_call(front: str, world: World, traced: Traced) -> None:
    hooks = [traced.hooks]

    @durable(name="courier", hooks=hooks)
    def courier(event: Any, ctx: DurableContext) -> int:
        raise ValueError("no way")

    @durable(name="shop", hooks=hooks)
    def sync(event: Any, ctx: DurableContext) -> str:
        try:
            ctx.call(courier, 1, name="ship")
        except CallError:
            return "kept"
        return "sent"

    @durable(name="shop", hooks=hooks)
    async def asyn(event: Any, ctx: AsyncDurableContext) -> str:
        try:
            await ctx.call(courier, 1, name="ship")
        except CallError:
            return "kept"
        return "sent"

    function: Any = {"sync": sync, "asyn": asyn}[front]
    if hasattr(world, "cloud"):
        world.cloud.attach(courier)
        world.run(function, None, "s")
    else:
        with LocalRunner(function, courier) as runner:
            runner.run(None, "s")
    check_tree(traced.spans)
    call, root, first = traced.one("ship"), traced.one("courier"), traced.one("courier invocation")
    assert trace_of(call) == trace_of(traced.one("shop")) != trace_of(root)
    for span in (root, first):
        (link,) = span.links
        assert (link.context.trace_id, link.context.span_id) == (trace_of(call), id_of(call))
    assert call.status.status_code is StatusCode.ERROR


def test_links_to_what_an_invocation_came_from(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    runner = LocalRunner(handlers([traced.hooks])["sync"])
    with traced.provider.get_tracer("instrumentation").start_as_current_span("lambda") as around:
        runner.invoke({"event": 1})
    inside, xray = traced.one("order invocation").links
    assert inside.context.span_id == around.get_span_context().span_id
    assert xray.context.trace_id == 0x5759E988BD862E3FE1BE46A994272793
    assert xray.context.span_id == 0x53995C3F42CD8AD8


@pytest.mark.parametrize(
    "header", ["", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0", "x" * 99]
)
def test_headers_that_say_nothing(header: str, traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    LocalRunner(handlers([traced.hooks])["sync"]).run(None)
    assert not any(span.links for span in traced.spans)


@pytest.mark.parametrize("front", NAMES)
def test_spans_of_the_code_hang_below_ours(front: str, traced: Traced) -> None:
    tracer = traced.provider.get_tracer("app")

    def body() -> None:
        with tracer.start_as_current_span("query"):
            pass

    @durable(hooks=[traced.hooks])
    def sync(event: Any, ctx: DurableContext) -> None:
        with tracer.start_as_current_span("part"):
            ctx.step(body)

    @durable(hooks=[traced.hooks])
    async def asyn(event: Any, ctx: AsyncDurableContext) -> None:
        with tracer.start_as_current_span("part"):
            await ctx.step(body)

    LocalRunner(sync if front == "sync" else asyn).run(None)
    chain = [traced.one(name) for name in ("query", "body", "part", f"{front} invocation", front)]
    assert [parent_of(span) for span in chain] == [id_of(span) for span in chain[1:]] + [None]
    assert len({trace_of(span) for span in chain}) == 1


def test_an_entry_that_has_no_duration_is_an_event(traced: Traced) -> None:
    @durable(name="other")
    def other(event: Any, ctx: DurableContext) -> None: ...

    @durable(hooks=[traced.hooks])
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.send(other, None)

    LocalRunner(handler, other).run(None)
    (event,) = traced.one("handler invocation").events
    assert event.name == "send other"


def test_generations_share_the_trace(traced: Traced) -> None:
    @durable(hooks=[traced.hooks])
    def handler(count: int, ctx: DurableContext) -> int:
        ctx.step(int)
        ctx.sleep(60)
        if count < 3:
            ctx.continue_as_new(count + 1)
        return count

    assert LocalRunner(handler).run(1).result == 3
    check_tree(traced.spans)
    assert len(traced.named("int")) == len(traced.named("sleep")) == 3
    assert attributes(traced.one("handler"))["durable.generation"] == 3


# -- providers -----------------------------------------------------------------------------------------------------


def test_the_providers_own_ids_stay_as_they_are(traced: Traced) -> None:
    LocalRunner(handlers([traced.hooks])["sync"]).run(None)
    tracer = traced.provider.get_tracer("app")
    assert isinstance(tracer.id_generator, RandomIdGenerator)  # type: ignore[attr-defined]
    assert isinstance(traced.provider.id_generator, RandomIdGenerator)


def test_the_sampler_of_the_provider_decides_once_for_all() -> None:
    assert self_consistent(Traced(sampler=ParentBased(ALWAYS_OFF))) == {0}
    half = Traced(sampler=ParentBased(TraceIdRatioBased(0.5)))
    assert self_consistent(half) == {0, 12}, "all spans of an execution, or none"
    assert self_consistent(Traced(sampler=TraceIdRatioBased(0.5))) == {0, 12}


def self_consistent(traced: Traced) -> set[int]:
    """How many spans single executions have."""
    found = set()
    for number in range(12):
        LocalRunner(handlers([traced.hooks])["sync"]).run(None, f"order-{number}")
        found.add(len(traced.spans))
        traced.exporter.clear()
    return found


class Failing(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise ConnectionError("the collector is gone")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise ConnectionError("the collector is gone")


class Raising(SpanProcessor):
    def __init__(self, where: str) -> None:
        self.where = where

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self.where == "start":
            raise ValueError("start")

    def on_end(self, span: ReadableSpan) -> None:
        if self.where == "end":
            raise ValueError("end")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        if self.where == "flush":
            raise ValueError("flush")
        return self.where != "late"


@pytest.mark.parametrize("front", NAMES)
@pytest.mark.parametrize("where", ["start", "end", "flush", "late"])
def test_a_failing_processor_harms_nobody(front: str, where: str, caplog: pytest.LogCaptureFixture) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Raising(where))
    function = handlers([OpenTelemetryHooks(provider)])[front]
    assert LocalRunner(function).run(None).result == "done"
    assert ("not all spans were exported" if where == "late" else "a hook failed") in caplog.text
    assert not trace.get_current_span().get_span_context().is_valid, "nothing stays current"


def test_a_failing_exporter_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Failing()))
    assert LocalRunner(handlers([OpenTelemetryHooks(provider)])["sync"]).run(None).result == "done"
    assert "the collector is gone" in caplog.text


def test_an_invocation_leaves_nothing_in_the_buffer() -> None:
    """Lambda freezes the process when the handler has returned."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    runner = LocalRunner(handlers([OpenTelemetryHooks(provider)])["sync"])
    runner.start(None)
    runner.run_until_idle()
    assert [span.name for span in exporter.get_finished_spans()] == ["reserve", "order invocation"]
    provider.shutdown()


def test_no_provider_at_all() -> None:
    """The API alone: spans of nothing, and no errors."""
    code = (
        "from tests.ext.orders import handlers\n"
        "from durable_fn.ext.opentelemetry import OpenTelemetryHooks\n"
        "from durable_fn.testing import LocalRunner\n"
        "runner = LocalRunner(handlers([OpenTelemetryHooks()])['sync'])\n"
        "print(runner.run(None).status)\n"
        "import sys; print('opentelemetry.sdk' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert (run.stdout, run.stderr) == ("SUCCEEDED\nFalse\n", "")


def test_a_global_provider_that_is_set_later() -> None:
    code = (
        "from tests.ext.test_opentelemetry import *\n"
        "hooks = OpenTelemetryHooks()\n"
        "runner = LocalRunner(handlers([hooks])['sync'])\n"
        "runner.run(None, 'before')\n"
        "traced = Traced()\n"
        "trace.set_tracer_provider(traced.provider)\n"
        "runner.run(None, 'after')\n"
        "check_tree(traced.spans)\n"
        "print({span.attributes['durable.execution_id'] for span in traced.spans})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout == "{'after'}\n", run.stderr


class Foreign:
    """A provider that is not the SDK: its tracers have no `id_generator` and no `sampler`, and give their own ids."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        tracer = self._provider.get_tracer(*args, **kwargs)

        class Tracer(trace.Tracer):
            start_span = staticmethod(tracer.start_span)
            start_as_current_span = staticmethod(tracer.start_as_current_span)

        return Tracer()  # type: ignore[abstract]


@pytest.mark.parametrize("generator", [False, True])
def test_a_provider_that_is_not_the_sdk(generator: bool) -> None:
    """All in one trace; with our generator in it, the root and what links point to is exact, too."""
    traced = Traced(**({"id_generator": DurableIdGenerator(RandomIdGenerator())} if generator else {}))
    hooks = OpenTelemetryHooks(Foreign(traced.provider))  # type: ignore[arg-type]
    runner = LocalRunner(handlers([hooks])["sync"])
    runner.run(None, "order-1")
    ids = ExecutionIds("order-1", datetime(2026, 1, 1, tzinfo=UTC))
    assert {trace_of(span) for span in traced.spans} == {ids.trace_id}
    assert parent_of(traced.one("order")) == (None if generator else ids.execution.span_id)
    assert (id_of(traced.one("order")) == ids.execution.span_id) is generator
    assert (id_of(traced.one("sleep")) == ids.operation(1, operation_key("sleep")).span_id) is generator


def test_misuse() -> None:
    with pytest.raises(ValueError, match="flush_timeout must be 0 or more"):
        OpenTelemetryHooks(flush_timeout=-1)


def test_without_the_api_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import durable_fn.ext.opentelemetry"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "pip install durable-fn[otel]" in run.stderr


def test_a_redriven_execution_ends_again_in_its_trace(traced: Traced) -> None:
    broken = [True]

    def ship() -> int:
        if broken:
            raise ValueError("no courier")
        return 1

    @durable(hooks=[traced.hooks], step_retry=RetryPolicy(max_attempts=1))
    def handler(event: Any, ctx: DurableContext) -> int:
        return ctx.step(ship)

    runner = LocalRunner(handler)
    assert runner.run(None, "x").status == "FAILED"
    broken.clear()
    runner.client.redrive("x")
    runner.run_until_idle()
    first, second = traced.named("handler")
    assert id_of(first) == id_of(second)
    assert [span.status.status_code for span in (first, second)] == [StatusCode.ERROR, StatusCode.UNSET]
    check_tree([span for span in traced.spans if span is not first])
