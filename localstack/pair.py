"""Two functions beside the stack's own, of which one calls the other: deployed first by nobody's call, then badly, then mended,
and with a queue that is replaced under them. Each has a role of its own with no more than it needs."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from stack import Stack, aws

from durable_fn import DurableClient
from durable_fn.cli.environment import environment

CALLER, CALLEE = "pair-caller", "pair-callee"
HANDLERS = """
from durable_fn import DurableContext, durable


def doubled(n: int) -> int:
    return 2 * n


@durable(name="pair-caller")
def caller(event: int, ctx: DurableContext) -> int:
    return ctx.call("pair-callee", event, timeout=90) + 1


@durable(name="pair-callee")
def callee(event: int, ctx: DurableContext) -> int:
    n = ctx.step(doubled, event)
    return n + ctx.wait_for_signal("more", result_type=int, timeout=3600) if event < 0 else n
"""
BADLY = HANDLERS.replace("ctx.step(doubled,", "ctx.step(lambda n: 3 * n,")
"""Another step where live executions have recorded `doubled`."""


class Pair:
    """`deploy` again with other code is what a pipeline does."""

    def __init__(self, stack: Stack, user: str) -> None:
        self.stack = stack
        self.user = user
        model = aws("lambda").get_function_configuration(FunctionName=stack.output("OrderFulfilmentName"))
        self._layers = [layer["Arn"] for layer in model["Layers"]]
        self._variables = {
            name: value
            for name, value in model["Environment"]["Variables"].items()
            if name.startswith("DURABLE_FN_") and name != "DURABLE_FN_QUEUE_URL"
        }
        self.queues: dict[str, str] = {}
        self._sources: dict[str, str] = {}

    def create(self) -> None:
        for fn in (CALLER, CALLEE):
            self.queues[fn] = self._queue(f"{self.stack.name}-{fn}")
        roles, package = {fn: self._role(fn) for fn in (CALLER, CALLEE)}, self._package(HANDLERS)
        self._permit()
        for fn in (CALLER, CALLEE):
            aws("lambda").create_function(
                FunctionName=fn, Runtime=self.stack.runtime, Handler=f"pair.{fn.removeprefix('pair-')}", Timeout=20,
                Role=roles[fn], Code={"ZipFile": package}, Layers=self._layers, MemorySize=512,
                Environment=self._environment(fn),
            )  # fmt: skip
            aws("lambda").get_waiter("function_active_v2").wait(FunctionName=fn)
            self._listen(fn)

    def client(self) -> DurableClient:
        """Told of the queues as they are now; with the rights of the smoke test's user, who may also signal these two."""
        variables = self._variables | {"DURABLE_FN_QUEUES": json.dumps(self.queues)}
        with environment(variables):
            return DurableClient.from_env()

    def deploy(self, code: str) -> None:
        """Another version of both."""
        for fn in (CALLER, CALLEE):
            aws("lambda").update_function_code(FunctionName=fn, ZipFile=self._package(code))
            aws("lambda").get_waiter("function_updated_v2").wait(FunctionName=fn)

    def replace_queue(self, fn: str) -> None:
        """As CloudFormation does: the new one first, then what uses it, then the old one goes. The caller is told nothing."""
        old = self.queues[fn]
        self.queues[fn] = self._queue(f"{self.stack.name}-{fn}-anew")
        self._permit()
        aws("lambda").update_function_configuration(FunctionName=fn, Environment=self._environment(fn))
        aws("lambda").get_waiter("function_updated_v2").wait(FunctionName=fn)
        aws("lambda").delete_event_source_mapping(UUID=self._sources[fn])
        self._listen(fn)
        aws("sqs").delete_queue(QueueUrl=old)

    def said(self, fn: str) -> str:
        """Everything in the function's log."""
        pages = aws("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{fn}")
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def metric(self, fn: str, name: str) -> list[float]:
        """What the function wrote in the embedded metric format, of which CloudWatch makes the metric of the alarm."""
        found = []
        for line in self.said(fn).splitlines():
            if '"_aws"' in line and f'"{name}"' in line:
                found.append(float(json.loads(line[line.index("{") :])[name]))
        return found

    def _package(self, code: str) -> bytes:
        built, data = self.stack.build / "OrderFulfilment", io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(built).rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(built))
            archive.writestr("pair.py", code)
        return data.getvalue()

    def _environment(self, fn: str) -> dict[str, Any]:
        """A function's own queue; and of the caller the one that it may call before that ever ran."""
        own = {"DURABLE_FN_QUEUE_URL": self.queues[fn]}
        known = {"DURABLE_FN_QUEUES": json.dumps({CALLEE: self.queues[CALLEE]})} if fn == CALLER else {}
        return {"Variables": self._variables | own | known}

    def _queue(self, name: str) -> str:
        url: str = aws("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": "120"})["QueueUrl"]
        return url

    def _arn(self, fn: str) -> str:
        attributes = aws("sqs").get_queue_attributes(QueueUrl=self.queues[fn], AttributeNames=["QueueArn"])
        return str(attributes["Attributes"]["QueueArn"])

    def _listen(self, fn: str) -> None:
        mapping = aws("lambda").create_event_source_mapping(
            FunctionName=fn, EventSourceArn=self._arn(fn), FunctionResponseTypes=["ReportBatchItemFailures"]
        )
        self._sources[fn] = mapping["UUID"]

    def _role(self, fn: str) -> str:
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
        name, iam = f"{self.stack.name}-{fn}", aws("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.attach_role_policy(RoleName=name, PolicyArn=self.stack.resource("JournalAccess"))
        return str(role)

    def _permit(self) -> None:
        """Each reads its own queue, and sends to the other's: a call, and its answer."""
        for fn, other in ((CALLER, CALLEE), (CALLEE, CALLER)):
            own = ["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
            statements = [
                {"Effect": "Allow", "Action": own, "Resource": self._arn(fn)},
                {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": self._arn(other)},
            ]
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            aws("iam").put_role_policy(RoleName=f"{self.stack.name}-{fn}", PolicyName="queues", PolicyDocument=document)
        sends = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": [self._arn(fn) for fn in self.queues]}
        document = json.dumps({"Version": "2012-10-17", "Statement": [sends]})
        aws("iam").put_user_policy(UserName=self.user, PolicyName="pair", PolicyDocument=document)
        sweeper = self.stack.resource("SweeperRole")  # it wakes whatever is in the table
        aws("iam").put_role_policy(RoleName=sweeper, PolicyName="pair", PolicyDocument=document)
