"""ministack as a process of its own on a free port of loopback, and what a deployed function has around it there.

`make .venv-ministack/.installed` installs it; MINISTACK_PYTHON names another Python that has it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session

from durable_fn import DurableClient
from durable_fn.cli.environment import environment
from durable_fn.testing.cloud import table_definition
from durable_fn.testing.lambda_runtime import EventSource, LambdaFunction
from durable_fn.wiring import from_environment
from tests.lambda_runtime.conftest import ROOT, until

PYTHON = Path(os.environ.get("MINISTACK_PYTHON", ROOT / ".venv-ministack" / "bin" / "python"))
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-central-1"}
_NUMBERS = itertools.count(1)
_SWEEPS_EVERY_S = 0.4


@contextlib.contextmanager
def ministack(directory: Path) -> Iterator[str]:
    """Its endpoint. Its log stays in the directory."""
    assert PYTHON.exists(), f"{PYTHON} is missing: run `make .venv-ministack/.installed`, or set MINISTACK_PYTHON"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "AWS_REGION": "eu-central-1",
    }
    with (directory / "ministack.log").open("wb") as log:
        server = subprocess.Popen(
            [str(PYTHON), str(ROOT / "localstack" / "ministack.py"), str(port)],
            stdout=log, stderr=log, env=variables, cwd=directory, start_new_session=True,
        )  # fmt: skip
    try:
        endpoint = f"http://127.0.0.1:{port}"
        until(lambda: _answers(endpoint, server), "ministack answers", 30)
        yield endpoint
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(endpoint: str, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, "ministack ended by itself; see ministack.log"
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1):
        return True
    return False


class Account:
    """A journal, a schedule group and functions with queues: what template.yaml makes, by hand. Also a context manager.

    The sweeper is a function in an environment of its own; its schedule is quicker than a minute.
    """

    def __init__(self, endpoint: str, directory: Path, *, visibility: int = 5, **variables: str) -> None:
        name = f"journal-{os.getpid()}-{next(_NUMBERS)}"
        self.directory = directory
        self.variables = {
            **_KEYS,
            "AWS_ENDPOINT_URL": endpoint,
            "DURABLE_FN_TABLE": name,
            "DURABLE_FN_SCHEDULE_GROUP": name,
            "DURABLE_FN_SCHEDULE_ROLE_ARN": "arn:aws:iam::000000000000:role/schedules",
            **variables,
        }
        self._visibility = visibility
        self._stack = contextlib.ExitStack()
        self._stopped = threading.Event()
        self._session = botocore.session.get_session()
        self._session.set_credentials("test", "test")
        self._endpoint = endpoint
        self.sqs = self.aws("sqs")
        self.aws("dynamodb").create_table(**table_definition(name))
        self.scheduler = self.aws("scheduler")
        self.scheduler.create_schedule_group(Name=name)

    def aws(self, service: str) -> Any:
        return self._session.create_client(service, region_name="eu-central-1", endpoint_url=self._endpoint)

    def __enter__(self) -> Account:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._stack.close()

    def queue(self, *, max_receives: int = 50) -> tuple[str, str]:
        """The URLs of a queue and of its dead letters."""
        name = f"queue-{os.getpid()}-{next(_NUMBERS)}"
        dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives})
        attributes = {"VisibilityTimeout": str(self._visibility), "RedrivePolicy": redrive}
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], dead

    def function(self, handler: str, queue_url: str, *, timeout: float = 5, **variables: str) -> LambdaFunction:
        function = LambdaFunction(
            handler,
            name=handler.split(".")[-2],
            timeout=timeout,
            task_root=ROOT,
            directory=self.directory / f"function-{next(_NUMBERS)}",
            variables={**self.variables, "DURABLE_FN_QUEUE_URL": queue_url, **variables},
        )
        return self._stack.enter_context(function)

    def subscribe(self, function: LambdaFunction, queue_url: str, **options: Any) -> EventSource:
        return self._stack.enter_context(EventSource(function, self.sqs, queue_url, **options))

    def sweep(self, queue_url: str) -> LambdaFunction:
        """From now on, until the end."""
        sweeper = self.function("durable_fn.sweeper.handler", queue_url)

        def run() -> None:
            while not self._stopped.wait(_SWEEPS_EVERY_S):
                with contextlib.suppress(RuntimeError):  # closed just now
                    sweeper.invoke({})

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(self._stopped.set)
        return sweeper

    def client(self, queue_url: str) -> tuple[DurableClient, Any]:
        """And its backend, by the same variables as the functions: until the end they are those of this process too, because
        clients of SQS and Scheduler are made when they are needed."""
        self._stack.enter_context(environment({**self.variables, "DURABLE_FN_QUEUE_URL": queue_url}))
        backend = from_environment()
        return DurableClient(backend), backend

    def messages(self, queue_url: str) -> int:
        """Visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        return sum(int(counts[name]) for name in names)
