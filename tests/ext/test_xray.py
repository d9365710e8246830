"""Powertools Tracer: what the X-Ray daemon gets, by a socket that stands where it stands. Each in a process of its own,
because the X-Ray SDK looks at the Lambda environment when it is imported."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRACE = "1-5759e988-bd862e3fe1be46a994272793"
LAMBDA = {"LAMBDA_TASK_ROOT": "/var/task", "_X_AMZN_TRACE_ID": f"Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1"}

PROGRAM = """
from aws_lambda_powertools import Tracer
from durable_fn import DurableContext
from durable_fn.ext.powertools import PowertoolsHooks
from durable_fn.testing import LocalRunner
from tests.ext.orders import handlers
runner = LocalRunner(handlers([PowertoolsHooks(tracer={tracer})], fail={fail})[{front!r}])
print(runner.run(None, "order-1").status)
"""


def run(code: str, **environment: str) -> tuple[str, list[dict[str, Any]]]:
    """Its output, and the documents that the daemon got."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        daemon.bind(("127.0.0.1", 0))
        daemon.setblocking(False)
        address = f"127.0.0.1:{daemon.getsockname()[1]}"
        env = {"PYTHONPATH": str(ROOT), "AWS_XRAY_DAEMON_ADDRESS": address, "PATH": os.environ["PATH"], **environment}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        documents = []
        try:
            while True:
                documents.append(json.loads(daemon.recv(1 << 16).split(b"\n", 1)[1]))
        except BlockingIOError:
            return done.stdout, documents


def flat(documents: list[dict[str, Any]], parent: str | None = None) -> list[dict[str, Any]]:
    """Every subsegment once, each with its parent's id."""
    found = []
    for document in documents:
        document.setdefault("parent_id", parent)
        found += [document, *flat(document.pop("subsegments", []), document["id"])]
    return found


def shape(documents: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(
        (d["name"], a.get("invocation", 0), a.get("operation_id", ""), a.get("attempt", 0), bool(d.get("fault")))
        for d in flat(documents)
        for a in [d["annotations"]]
    )


@pytest.mark.parametrize("front", ["sync", "asyn"])
@pytest.mark.parametrize("tracer", ["Tracer(service='orders', auto_patch=False)", "True"])
def test_a_subsegment_for_what_ran(front: str, tracer: str) -> None:
    out, documents = run(PROGRAM.format(tracer=tracer, front=front, fail=True), **LAMBDA)
    assert out == "FAILED\n"
    assert shape(documents) == [
        ("## order", 1, "", 0, False),
        ("## order", 2, "", 0, False),
        ("## order", 3, "", 0, False),
        ("## order", 4, "", 0, True),
        ("## pack", 0, "boxes/large/pack", 1, False),
        ("## pack", 0, "boxes/small/pack", 1, False),
        ("## reserve", 0, "reserve", 1, True),
        ("## reserve", 0, "reserve", 2, False),
    ]
    found = flat(documents)
    assert {d["trace_id"] for d in found} == {TRACE}
    assert {d["annotations"]["execution_id"] for d in found} == {"order-1"}
    invocations = {d["annotations"]["invocation"]: d for d in found if d["name"] == "## order"}
    assert {d["parent_id"] for d in invocations.values()} == {"53995c3f42cd8ad8"}, "below Lambda's own segment"
    above = {d["annotations"]["operation_id"]: d["parent_id"] for d in found if d["annotations"].get("attempt") == 1}
    assert above["boxes/small/pack"] == invocations[3]["id"]
    assert above["boxes/large/pack"] == invocations[4]["id"]
    assert invocations[4]["cause"]["exceptions"][0]["type"] == "ValueError"
    assert invocations[4]["annotations"]["status"] == "FAILED"
    first = next(d for d in found if d["annotations"].get("attempt") == 1 and d["name"] == "## reserve")
    assert first["cause"]["exceptions"][0]["message"] == "no stock"


INTERLEAVED = """
import asyncio, threading
from aws_lambda_powertools import Tracer
from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.ext.powertools import PowertoolsHooks
from durable_fn.testing import LocalRunner
hooks = [PowertoolsHooks(tracer=Tracer(auto_patch=False))]
barrier = threading.Barrier(3)
def together(n):
    barrier.wait(20)
    return n
@durable(name="wide", hooks=hooks)
def sync(event, ctx: DurableContext):
    ctx.map(lambda ctx, n: ctx.step(together, n), range(3), name="m", item_name=str).results
turns = []
async def crossing(n):
    for _ in range(n):
        turns.append(n)
        await asyncio.sleep(0)
    return n
@durable(name="wide", hooks=hooks)
async def asyn(event, ctx: AsyncDurableContext):
    await asyncio.gather(*(ctx.step(crossing, n) for n in (1, 3, 2)))
    assert turns[:3] == [1, 3, 2], turns
print(LocalRunner({front}).run(None).status)
"""


@pytest.mark.parametrize("front", ["sync", "asyn"])
def test_steps_at_the_same_time_hang_below_the_invocation(front: str) -> None:
    out, documents = run(INTERLEAVED.format(front=front), **LAMBDA)
    assert out == "SUCCEEDED\n"
    found = flat(documents)
    top = next(d for d in found if d["name"] == "## wide")
    steps = [d for d in found if d is not top]
    assert len(steps) == 3
    assert {d["parent_id"] for d in steps} == {top["id"]}
    assert all(top["start_time"] <= d["start_time"] <= d["end_time"] <= top["end_time"] for d in steps)


NESTED = """
from aws_lambda_powertools import Tracer
from durable_fn import DurableContext, durable
from durable_fn.ext.powertools import PowertoolsHooks
from durable_fn.testing import LocalRunner
tracer = Tracer(auto_patch=False)
@tracer.capture_method
def inner():
    return 1
@durable(hooks=[PowertoolsHooks(tracer=tracer)])
def handler(event, ctx: DurableContext):
    return ctx.step(lambda: inner())
print(LocalRunner(handler).run(None).status)
"""


def test_what_a_body_traces_hangs_below_its_attempt() -> None:
    _, documents = run(NESTED, **LAMBDA)
    found = {d["name"]: d for d in flat(documents)}
    assert found["## __main__.inner"]["parent_id"] == found["## lambda"]["id"]
    assert found["## lambda"]["parent_id"] == found["## handler"]["id"]


def test_without_a_daemon_the_execution_goes_on() -> None:
    code = PROGRAM.format(tracer="True", front="sync", fail=False)
    out, _ = run(code, **LAMBDA, AWS_XRAY_DAEMON_ADDRESS="127.0.0.1:9")
    assert out == "SUCCEEDED\n"


LOADED = "\nimport sys; print('aws_xray_sdk' in sys.modules)"
LAZY = PROGRAM.replace("from aws_lambda_powertools import Tracer\n", "") + LOADED


@pytest.mark.parametrize(
    ("environment", "loaded"),
    [
        ({}, False),
        ({**LAMBDA, "_X_AMZN_TRACE_ID": LAMBDA["_X_AMZN_TRACE_ID"].replace("Sampled=1", "Sampled=0")}, False),
        ({**LAMBDA, "POWERTOOLS_TRACE_DISABLED": "true"}, False),
        (LAMBDA, True),
    ],
)
def test_the_sdk_is_loaded_where_something_is_traced(environment: dict[str, str], loaded: bool) -> None:
    out, documents = run(LAZY.format(tracer="True", front="sync", fail=False), **environment)
    assert out == f"SUCCEEDED\n{loaded}\n"
    assert bool(documents) is loaded


def test_importing_costs_nothing() -> None:
    code = (
        "from durable_fn.ext.powertools import PowertoolsHooks\n"
        "PowertoolsHooks(tracer=True, logger=True, metrics=True)\n"
        "import sys; print(*{'aws_xray_sdk', 'aws_lambda_powertools', 'boto3', 'botocore', 'asyncio'} & set(sys.modules))"
    )
    assert run(code)[0] == "\n"


def test_what_is_no_tracer() -> None:
    from durable_fn.ext.powertools import PowertoolsHooks

    with pytest.raises(TypeError, match="Powertools Tracer with the X-Ray SDK, not int"):
        PowertoolsHooks(tracer=5)  # type: ignore[arg-type]
