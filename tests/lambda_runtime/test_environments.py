"""Environments: cold starts, reuse, what stays in a process from one invocation to the next and what must not."""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_fn.testing.lambda_runtime import LambdaFunction
from tests.lambda_runtime.conftest import ROOT, Theatre, only, running, stopped, until


def test_a_cold_start_and_then_the_same_process(theatre: Theatre) -> None:
    function = theatre.function("plain", name="orders", timeout=7)
    first, second = function.invoke({}, request_id="one"), function.invoke({}, request_id="two")
    assert (first.cold, second.cold, function.starts) == (True, False, 1)
    assert first.pid == second.pid == first.value["pid"] != os.getpid()
    assert [first.value["invocations"], second.value["invocations"]] == [1, 2]
    assert [first.value["request_id"], second.value["request_id"]] == ["one", "two"]
    assert first.value["arn"] == "arn:aws:lambda:eu-central-1:123456789012:function:orders"
    assert 5_000 < second.value["left"] <= 7_000
    assert first.value["inherited"] == ["STAGE"], "the test's own environment variables must not reach it"


def test_invocations_at_once_have_environments_of_their_own(theatre: Theatre) -> None:
    function = theatre.function("steps")
    futures = [function.invoke_later({"id": f"e{n}", "steps": ["a"], "gated": ["a"]}) for n in range(2)]
    pids = {theatre.reached(f"e{n}-a") for n in range(2)}
    assert {environment.pid for environment in function.busy} == pids
    assert (len(pids), function.starts) == (2, 2)
    theatre.open("e0-a", "e1-a")
    assert {future.result().value["status"] for future in futures} == {"SUCCEEDED"}
    assert function.invoke({"id": "e2", "steps": []}).pid in pids


@pytest.mark.parametrize("handler", ["isolated_entry", "aisolated_entry"])
def test_nothing_of_an_execution_is_left_for_the_next_one(theatre: Theatre, handler: str) -> None:
    function = theatre.function(handler)
    first, second = (function.invoke({"id": id}).value for id in ("one", "two"))
    for id, answer in (("one", first), ("two", second)):
        assert answer["result"]["inherited"] is None, "a contextvar that the handler before it set"
        assert answer["result"]["seen"] == {"tenant": id, "execution": id, "operation": "seen"}
        assert (answer["tenant_after"], "left" in answer) == (None, False), answer
    assert first["result"]["pid"] == second["result"]["pid"]
    assert [first["result"]["invocations"], second["result"]["invocations"]] == [1, 2], "module globals stay"
    assert second["threads"] == first["threads"], "threads must not pile up"


def test_nothing_is_left_between_two_executions_in_one_batch(theatre: Theatre) -> None:
    """Two turns in one invocation."""
    function = theatre.function("isolated_entry")
    function.invoke({"id": "warm"})
    ids = [theatre.client.start("isolated", {"id": id}, id=id) for id in ("one", "two")]
    bodies = [theatre.hint(id) for id in ids]
    records = [{"messageId": str(n), "body": b, "eventSource": "aws:sqs"} for n, b in enumerate(bodies)]
    assert function.invoke({"Records": records}).value["batchItemFailures"] == []
    results = [theatre.client.result(id) for id in ids]
    assert [result["inherited"] for result in results] == [None, None]
    assert [result["seen"]["operation"] for result in results] == ["seen", "seen"]


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


@pytest.fixture
def echo() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_an_async_handler_keeps_its_loop_and_its_clients(theatre: Theatre, echo: str) -> None:
    """awslambdaric calls a function that is not async; a connection that the first invocation made serves all of them."""
    function = theatre.function("connected")
    results: list[Any] = []
    for id in ("one", "two", "three"):
        answer = function.invoke({"id": id, "address": echo}).value
        assert answer["status"] == "SUCCEEDED", answer
        assert [part["answer"] for part in answer["result"]] == [f"{id}-1", f"{id}-2"]
        results += answer["result"]
    assert function.starts == 1
    assert len({result["port"] for result in results}) == 1, "a new connection was made"
    assert len({result["loop"] for result in results}) == 1


# -- frozen between invocations, and gone at the end -----------------------------------------------------------------


def test_an_environment_is_frozen_between_invocations(theatre: Theatre) -> None:
    function = theatre.function("plain")
    pid = function.invoke({}).pid
    until(lambda: stopped(pid), "the process is stopped")
    assert function.invoke({}).value["invocations"] == 2
    running_on = theatre.function("plain", freezes=False)
    assert not stopped(running_on.invoke({}).pid)


def test_a_closed_function_leaves_no_process(theatre: Theatre) -> None:
    function = theatre.function("steps")
    idle = function.invoke({"id": "idle", "steps": []}).pid
    future = function.invoke_later({"id": "e", "steps": ["a"], "gated": ["a"]})
    busy = theatre.reached("e-a")
    waiting = function.invoke_later({"id": "f", "steps": ["a"], "gated": ["a"]})
    other = theatre.reached("f-a")
    assert idle in (busy, other)
    function.close()
    assert [future.result(30).error_type, waiting.result(5).error_type] == ["Runtime.ExitError"] * 2
    assert not any(running(pid) for pid in (idle, busy, other))
    with pytest.raises(RuntimeError, match="closed"):
        function.invoke({})


def test_a_frozen_environment_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    """Stopped as it is, it would stay for ever."""
    code = (
        "import os, signal\n"
        "from durable_fn.testing.lambda_runtime import LambdaFunction\n"
        "function = LambdaFunction('tests.lambda_runtime.functions.handlers.plain')\n"
        "print(function.invoke({}).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == -9, run.stderr
    until(lambda: not running(int(run.stdout)), "the frozen environment is gone")


# -- what people get wrong -------------------------------------------------------------------------------------------


def test_what_the_harness_refuses(theatre: Theatre) -> None:
    with pytest.raises(ValueError, match="timeout must be above 0"):
        LambdaFunction("a.b", timeout=0)
    with pytest.raises(ValueError, match="Lambda takes at most 6,291,556"):
        theatre.function("plain").invoke("x" * 6_300_000)


def test_without_the_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awslambdaric", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="pip install awslambdaric"):
        LambdaFunction("a.b")


def test_the_environments_that_are_there(theatre: Theatre) -> None:
    function = theatre.function("plain")
    pid = function.invoke({}).pid
    environment = only(function.environments)
    assert (environment.pid, environment.state, function.busy) == (pid, "idle", [])
    environment.kill()
    assert (function.environments, environment.state) == ([], "over")
    again = function.invoke({})
    assert (again.cold, again.pid != pid, again.value["invocations"]) == (True, True, 1)


def test_an_environment_is_for_the_invocation_that_started_it(theatre: Theatre) -> None:
    """However soon it is up, and whoever looks for a free one meanwhile."""
    function = theatre.function("plain")
    started = function._take()
    until(lambda: started.state != "starting", "the runtime asks for work")
    other = function.invoke({})
    assert (other.cold, other.pid != started.pid) == (True, True)
    first = started.invoke("one", b"{}", function.arn, 20)
    assert (first.cold, first.pid, first.value["invocations"]) == (True, started.pid, 1)
    assert (function.invoke({}).cold, function.starts) == (False, 2)
