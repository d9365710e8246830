"""Functions in real environments, and their tests' view of journal and stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_fn import DurableClient
from durable_fn.log.events import is_fence
from durable_fn.log.header import Header
from durable_fn.log.wake import Wake
from durable_fn.testing.lambda_runtime import Environment, LambdaFunction
from durable_fn.wiring import sqlite

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE_S, every: float = 0.005) -> Any:
    """Looks until it is so, and returns what it is."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, f"still not so after {patience} s: {what}"
        time.sleep(every)
    return found


class Theatre:
    """A journal on a file, a stage on which handlers wait, and functions that are closed at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stage = directory / "stage"
        self.stage.mkdir()
        self.url = f"sqlite:///{directory}/journal.db?synchronous=normal"
        self.backend = sqlite(str(directory / "journal.db"), synchronous="normal")
        self.backend.wakeups.serve("steps")  # its name is known, as if it had run here before
        self.client = DurableClient(self.backend)
        self._functions: list[LambdaFunction] = []

    def function(self, handler: str, module: str = "handlers", **options: Any) -> LambdaFunction:
        """Of tests.lambda_runtime.functions. The timeout is long unless the test is about it."""
        settings: dict[str, Any] = {"timeout": 20, "task_root": ROOT, **options}
        settings["variables"] = {
            "DURABLE_FN_BACKEND": self.url,
            "STAGE": str(self.stage),
            **settings.get("variables", {}),
        }
        directory = self.directory / f"function-{len(self._functions)}"
        warm = settings.pop("warm", False)
        function = LambdaFunction(f"tests.lambda_runtime.functions.{module}.{handler}", directory=directory, **settings)
        self._functions.append(function)
        if warm:  # for short timeouts: the first invocation imports and connects
            assert not function.invoke({"id": f"warm-{len(self._functions)}", "steps": ["w"]}).failed
        return function

    def close(self) -> None:
        for function in self._functions:
            function.close()
        self.backend.store.close()  # type: ignore[attr-defined]

    # -- the stage -------------------------------------------------------------------------------------------------

    def reached(self, gate: str, by: int | None = None) -> int:
        """Waits until somebody, or this process, stands at the gate. Returns who."""
        pattern = f"{gate}.reached-by-{by or '*'}"
        found: Path = until(lambda: next(self.stage.glob(pattern), None), f"{gate} is reached by {by or 'anybody'}")
        return int(found.name.rpartition("-")[2])

    def open(self, *gates: str) -> None:
        for gate in gates:
            (self.stage / f"{gate}.open").touch()

    def notes(self, id: str) -> list[tuple[str, str, int]]:
        """What bodies of an execution wrote: what, which one, in which process."""
        path = self.stage / "notes"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(line[0], " ".join(line[2:-1]), int(line[-1])) for line in lines if line[1] == id]

    def begun(self, id: str) -> list[tuple[str, int]]:
        """Bodies that began, and where."""
        return [(name, pid) for what, name, pid in self.notes(id) if what == "begins"]

    # -- the journal -----------------------------------------------------------------------------------------------

    def header(self, id: str) -> Header:
        header = self.backend.store.get(id)
        assert header is not None, f"there is no execution {id!r}"
        return header

    def lease_over(self, id: str) -> None:
        header = self.header(id)
        until(lambda: self.backend.clock.now() > header.lease, f"the lease of {id} ends", header.lease)

    def wake(self, id: str) -> dict[str, Any]:
        """The SDK's own message for this execution, as SQS brings it to Lambda."""
        return batch(self.hint(id))

    def hint(self, id: str) -> str:
        header = self.header(id)
        return Wake(id, header.run, header.fn, self.backend.clock.now()).body()

    def fences(self, id: str) -> int:
        loaded = self.backend.store.load(self.header(id).key)
        assert loaded is not None
        return sum(is_fence(segment.body) for segment in loaded.segments)

    def recorded(self, id: str) -> list[str]:
        """Steps that succeeded, in the order of the journal."""
        return [e.name for e in self.client.history(id) if e.kind == "step" and e.status == "SUCCEEDED"]


def batch(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": str(n), "body": body, "eventSource": "aws:sqs", "receiptHandle": "r", "attributes": {}}
            for n, body in enumerate(bodies)
        ]
    }


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    theatre = Theatre(tmp_path)
    yield theatre
    theatre.close()


def running(pid: int) -> bool:
    """Whether there is such a process, and it is not only waiting to be buried."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return status not in ("Z", "X")


def only(environments: list[Environment]) -> Environment:
    (environment,) = environments
    return environment


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
