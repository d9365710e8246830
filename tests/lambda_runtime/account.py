"""What a deployed function has around it, on an emulator of AWS."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from pathlib import Path
from typing import Any

import botocore.session

from durable_fn import DurableClient
from durable_fn.cli.environment import environment
from durable_fn.testing.cloud import table_definition
from durable_fn.testing.lambda_runtime import EventSource, LambdaFunction
from durable_fn.wiring import from_environment
from tests.lambda_runtime.conftest import ROOT

_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-central-1"}
_NUMBERS = itertools.count(1)
_SWEEPS_EVERY_S = 0.4


class Account:
    """A journal, a schedule group and functions with queues: what template.yaml makes, by hand. Also a context manager.

    The sweeper is a function in an environment of its own; its schedule is quicker than a minute.
    """

    def __init__(self, endpoint: str, directory: Path, **variables: str) -> None:
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

    def queue(self, *, max_receives: int = 50, visibility: int = 5) -> tuple[str, str]:
        """The URLs of a queue and of its dead letters."""
        name = f"queue-{os.getpid()}-{next(_NUMBERS)}"
        dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives})
        attributes = {"VisibilityTimeout": str(visibility), "RedrivePolicy": redrive}
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
        return self._stack.enter_context(EventSource(function, self.sqs, queue_url, wait=0, **options))

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

    def client(self, queue_url: str, name: str = "order-fulfilment") -> tuple[DurableClient, Any]:
        """And its backend, by the same variables as the functions: until the end they are those of this process too, because
        clients of SQS and Scheduler are made when they are needed."""
        self._stack.enter_context(environment({**self.variables, "DURABLE_FN_QUEUES": json.dumps({name: queue_url})}))
        backend = from_environment()
        return DurableClient(backend), backend

    def messages(self, queue_url: str) -> int:
        """Visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        return sum(int(counts[name]) for name in names)
