"""Deploys template.yaml to the endpoint in AWS_ENDPOINT_URL and uses it as people would.

    AWS_ENDPOINT_URL=http://127.0.0.1:4566 python localstack/smoke.py

The same script runs against LocalStack and, in CI, against ministack. Each check goes through the deployed functions with
their own roles; the client has the rights of the stack's ClientAccess policy and no more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from pair import BADLY, CALLEE, CALLER, HANDLERS, Pair  # noqa: E402
from stack import REGION, Stack, aws  # noqa: E402

from durable_fn import DurableClient  # noqa: E402
from durable_fn.cli.environment import environment  # noqa: E402
from durable_fn.testing.waits import open_callbacks  # noqa: E402

ORDER = json.loads((ROOT / "handlers_demo" / "order_fulfilment" / "event.json").read_text())
STEPS = ["charge_customer", "reserve_inventory", "notify_warehouse", "send_confirmation"]


class Smoke:
    """The checks. Each raises AssertionError, or returns what is worth telling."""

    def __init__(self, stack: Stack, client: DurableClient) -> None:
        self.stack = stack
        self.client = client
        self._run = f"{time.time():.0f}"
        self._held = ""
        self._pair = Pair(stack, user_of(stack))

    # -- tools -----------------------------------------------------------------------------------------------------

    def _order(self, name: str) -> dict[str, Any]:
        return ORDER | {"order_id": f"{name}-{self._run}"}

    def _fulfilled(self, id: str, wait: float = 40) -> None:
        """Finished, and every step recorded once."""
        result = self.client.result(id, wait=wait)
        assert (result["order_id"], result["status"]) == (id, "fulfilled"), result
        done = [e.name for e in self.client.history(id) if e.kind == "step" and e.status == "SUCCEEDED"]
        assert done == STEPS, done

    def _happened(self, id: str) -> dict[str, int]:
        """How often the order's mail was sent, where the companies' files can be seen from here."""
        file = Path(self.stack.directory) / "systems" / "warehouse.sqlite"
        if not file.exists():
            return {}
        with contextlib.closing(sqlite3.connect(file)) as db:
            rows = db.execute("SELECT what, count(*) FROM effects WHERE details LIKE ? GROUP BY what", (f"{id}:%",))
            return dict(rows.fetchall())

    def _invoke(self, function: str, event: object) -> Any:
        answer = aws("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    def _sweep(self) -> dict[str, int]:
        found: dict[str, int] = self._invoke(self.stack.resource("Sweeper"), {})
        return found

    # -- checks ----------------------------------------------------------------------------------------------------

    def an_order_by_the_client(self) -> str:
        """Client, table, queue, function: before the function ever ran."""
        order = self._order("client")
        id = self.client.start("order-fulfilment", order, id=order["order_id"])
        self._fulfilled(id)
        assert self.client.start("order-fulfilment", order, id=id) == id, "the same order again is the same execution"
        assert self._happened(id) in ({}, {"ship": 1})
        return f"{self.client.describe(id).invocations} invocation"

    def an_order_by_an_invocation(self) -> str:
        order = self._order("direct")
        first, again = (self._invoke(self.stack.output("OrderFulfilmentName"), order) for _ in range(2))
        assert first["status"] == "SUCCEEDED", first
        assert first == again
        return str(first["result"]["shipment_id"])

    def a_lost_message(self) -> str:
        """The sweeper finds the execution in the index and wakes it."""
        order = self._order("lost")
        queue = self.stack.output("OrderFulfilmentQueueUrl")
        id = self.client.start("order-fulfilment", order, id=order["order_id"], delay=3)
        aws("sqs").purge_queue(QueueUrl=queue)
        time.sleep(4)
        assert self.client.describe(id).status == "PENDING"
        found = self._sweep()
        assert found["sent"] >= 1, found
        self._fulfilled(id)
        return f"the sweeper found {found['due']}"

    def a_long_delay(self) -> str:
        """A one-time schedule in the stack's group. It is moved up, because nobody waits a quarter of an hour here: it fires
        into the queue, and the function sends the rest of the time, which is short enough by then, as a delay."""
        order, scheduler = self._order("later"), aws("scheduler")
        group, queue = self.stack.output("ScheduleGroup"), self.stack.output("OrderFulfilmentQueueUrl")
        before = self._schedules()
        id = self.client.start("order-fulfilment", order, id=order["order_id"], delay=903)
        (made,) = self._schedules() - before
        schedule = scheduler.get_schedule(Name=made, GroupName=group)
        assert schedule["Target"]["RoleArn"] == self.stack.output("ScheduleRoleArn")
        delayed = self._delayed(queue)
        soon = datetime.now(UTC) + timedelta(seconds=4)
        scheduler.update_schedule(
            Name=made, GroupName=group, ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})", Target=schedule["Target"],
            FlexibleTimeWindow=schedule["FlexibleTimeWindow"], ActionAfterCompletion="DELETE",
        )  # fmt: skip
        until(
            lambda: self._delayed(queue) == delayed + 1, 20, "the schedule did not fire, or the function did not go on"
        )
        self.client.terminate(id)
        assert self.client.describe(id).status == "TERMINATED"
        self.client.purge(id)
        return made[:20] + "…"

    def _delayed(self, queue: str) -> int:
        name = "ApproximateNumberOfMessagesDelayed"
        return int(aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"][name])

    def functions_that_are_killed(self) -> str:
        """With a timeout shorter than the order takes, Lambda kills the function in the middle of a step. What was recorded
        is not done again; the step that was under way is, with the same idempotency key."""
        with self._slow(timeout=4, latency=1.4):
            order = self._order("killed")
            id = self.client.start("order-fulfilment", order, id=order["order_id"])
            until(
                lambda: self._sweep() and self.client.describe(id).status == "SUCCEEDED", 180, "the order did not end"
            )
        self._fulfilled(id)
        assert self._happened(id) in ({}, {"ship": 1})
        turns = self.client.describe(id).invocations
        assert turns > 1, "nothing was killed"
        return f"{turns} invocations"

    @contextlib.contextmanager
    def _slow(self, *, timeout: int, latency: float) -> Iterator[None]:
        """The companies take their time, the function has little, and its messages come again soon."""
        function, queue = self.stack.output("OrderFulfilmentName"), self.stack.output("OrderFulfilmentQueueUrl")
        lambdas, sqs = aws("lambda"), aws("sqs")
        before = lambdas.get_function_configuration(FunctionName=function)
        variables = before["Environment"]["Variables"]
        slow = {"Variables": variables | {"DURABLE_FN_DEMO_LATENCY": str(latency)}}
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": str(2 * timeout)})
        lambdas.update_function_configuration(FunctionName=function, Timeout=timeout, Environment=slow)
        lambdas.get_waiter("function_updated_v2").wait(FunctionName=function)
        try:
            yield
        finally:
            lambdas.update_function_configuration(
                FunctionName=function, Timeout=before["Timeout"], Environment={"Variables": variables}
            )
            lambdas.get_waiter("function_updated_v2").wait(FunctionName=function)
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": str(6 * before["Timeout"])})

    def callbacks_over_http(self) -> str:
        """The API's answers to what anybody may send."""
        page = http("GET", self.stack.callbacks() + "whatever?verdict=call-555-0100")
        assert page[0] == 404, page
        assert "555" not in page[1], "words of a stranger under this address"
        refused = http("POST", self.stack.callbacks() + "whatever", {"verdict": "approve"})
        assert refused[0] == 404, refused
        assert "unknown callback token" in refused[1]
        return "an unknown token is refused, and shown nothing of its query"

    def an_approval(self) -> str:
        """A human decides by the link in a mail: API Gateway, callback API, inbox, queue. Meanwhile a reminder is scheduled."""
        event = self._event("customer_onboarding", "application_id", "approval")
        schedules = self._schedules()
        id = self._begin("CustomerOnboarding", event)
        assert self._schedules() - schedules, "no schedule for the reminder in a day"
        page = http("GET", self._link(id, "ask") + "?verdict=approve&by=grace")
        assert (page[0], "Please confirm" in page[1]) == (200, True), page
        assert self.client.describe(id).status == "SUSPENDED", "looking at the page approves nothing"
        taken = http("POST", self._link(id, "ask"), {"verdict": "approve", "by": "grace"})
        assert taken == (200, '{"status": "the answer was taken"}'), taken
        outcome = self.client.result(id, wait=30)
        assert (outcome["status"], outcome["decided_by"]) == ("active", "grace"), outcome
        return f"{self.client.describe(id).invocations} invocations"

    def an_agent(self) -> str:
        """Model and tools in a loop, on asyncio; a dangerous tool waits for a human."""
        id = self._begin("AiAgent", self._event("ai_agent", "task_id", "task"))
        taken = http("POST", self._link(id, "approval"), {"verdict": "approve", "by": "grace"})
        assert taken[0] == 200, taken
        outcome = self.client.result(id, wait=30)
        assert outcome["status"] == "answered", outcome
        return f"{len(self.client.history(id))} events"

    def an_audit(self) -> str:
        """A map, its branches committed in groups."""
        event = self._event("audit_pipeline", "audit_id", "audit") | {"records": 300}
        self._invoke(self.stack.output("AuditPipelineName"), event)
        report = self.client.result(event["audit_id"], wait=60)
        assert report["records"] == 300, report
        return f"{report['audited']} records audited, {len(report['flagged'])} flagged"

    def _event(self, demo: str, key: str, name: str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads((ROOT / "handlers_demo" / demo / "event.json").read_text())
        return event | {key: f"{name}-{self._run}"}

    def _begin(self, function: str, event: dict[str, Any]) -> str:
        """Runs until it waits for somebody."""
        answer = self._invoke(self.stack.output(f"{function}Name"), event)
        assert answer["status"] == "SUSPENDED", answer
        return str(answer["execution_id"])

    def _schedules(self) -> set[str]:
        group = self.stack.output("ScheduleGroup")
        return {schedule["Name"] for schedule in aws("scheduler").list_schedules(GroupName=group)["Schedules"]}

    def _link(self, id: str, name: str) -> str:
        """What is in the mail. Nobody can read those of functions in containers; who reads the journal knows the token."""
        tokens: dict[str, str] = {}

        def asked() -> bool:
            loaded = self._load(id)
            tokens.update(open_callbacks(loaded) if loaded else {})
            return name in tokens

        until(asked, 20, f"{id} does not wait for {name}")
        return self.stack.callbacks() + tokens[name]

    def _load(self, id: str) -> Any:
        header = self.client._executions.store.get(id)
        return None if header is None else self.client._executions.store.load(header.key)

    def a_function_that_never_ran_is_called(self) -> str:
        """Its queue is in the caller's variables; nothing else knows of it yet."""
        self._pair.create()
        answer = self._invoke(CALLER, 21)
        assert self.client.result(answer["execution_id"], wait=40) == 43, answer
        return "43"

    def a_bad_deploy(self) -> str:
        """Live executions do not match the new code: they are held, and the alarm's metric says so. Then the code is mended."""
        client = self._pair.client()
        id = self._invoke(CALLEE, -5)["execution_id"]
        assert client.describe(id).status == "SUSPENDED"
        self._pair.deploy(BADLY)
        begun, before = time.monotonic(), len(self._pair.metric(CALLEE, "Held"))
        client.signal(id, "more", 7)
        until(lambda: any(self._pair.metric(CALLEE, "Held")[before:]), 300, "the metric of the alarm did not move")
        held, noticed = client.describe(id), time.monotonic() - begun
        assert held.status == "SUSPENDED", held
        assert "no longer matches" in str(held.error), held
        self._pair.deploy(HANDLERS)
        self._held = id
        return f"the metric moved after {noticed:.1f} s"

    def the_mended_deploy(self) -> str:
        """Takes up what the bad one held, by itself: it is tried again after a minute, and then more and more seldom."""
        until(
            lambda: self.client.describe(self._held).status == "SUCCEEDED", 150, "the mended code does not take it up"
        )
        assert self.client.result(self._held) == -3
        return f"{self.client.describe(self._held).invocations} invocations"

    def a_queue_that_is_replaced(self) -> str:
        """What waits, goes on; who knows only the old queue finds the new one."""
        old = self._pair.client()
        waiting = self._invoke(CALLEE, -50)["execution_id"]
        self._pair.replace_queue(CALLEE)
        assert self._invoke(CALLEE, 4)["result"] == 8, "it says in the table where its queue is now"
        old.signal(waiting, "more", 7)
        assert old.result(waiting, wait=60) == -93
        assert old.result(self._invoke(CALLER, 30)["execution_id"], wait=60) == 61, (
            "the caller has the old one in its variables"
        )
        return "old clients and callers found it"

    def nothing_in_the_dead_letters(self) -> str:
        for function in (
            "OrderFulfilment",
            "CustomerOnboarding",
            "AiAgent",
            "PydanticAgent",
            "OpenaiAgent",
            "AuditPipeline",
        ):
            queue = self.stack.resource(f"{function}DeadLetters")
            name = "ApproximateNumberOfMessages"
            found = aws("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"][name]
            assert found == "0", f"{function} has {found} dead letters"
        return "6 queues"


def http(method: str, url: str, body: object = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(holds: Callable[[], object], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.5)


def user_of(stack: Stack) -> str:
    return f"{stack.name}-smoke"


@contextlib.contextmanager
def client_of(stack: Stack) -> Iterator[DurableClient]:
    """With the credentials of a user that has the stack's ClientAccess policy and nothing else."""
    iam, user, policy = aws("iam"), user_of(stack), stack.output("ClientPolicyArn")
    iam.create_user(UserName=user)
    iam.attach_user_policy(UserName=user, PolicyArn=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    variables = {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "DURABLE_FN_TABLE": stack.output("JournalTable"),
        "DURABLE_FN_BUCKET": stack.output("LargeValuesBucket"),
        "DURABLE_FN_QUEUES": stack.output("Queues"),
        "DURABLE_FN_SCHEDULE_GROUP": stack.output("ScheduleGroup"),
        "DURABLE_FN_SCHEDULE_ROLE_ARN": stack.output("ScheduleRoleArn"),
    }
    try:
        with environment(variables):  # credentials are read when the first client is made
            client = DurableClient.from_env()
        yield client
    finally:
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
        iam.detach_user_policy(UserName=user, PolicyArn=policy)
        iam.delete_user(UserName=user)


CHECKS = (
    Smoke.a_function_that_never_ran_is_called,
    Smoke.a_bad_deploy,
    Smoke.an_order_by_the_client,
    Smoke.an_order_by_an_invocation,
    Smoke.a_lost_message,
    Smoke.a_long_delay,
    Smoke.callbacks_over_http,
    Smoke.an_approval,
    Smoke.an_agent,
    Smoke.an_audit,
    Smoke.functions_that_are_killed,
    Smoke.a_queue_that_is_replaced,
    Smoke.the_mended_deploy,
    Smoke.nothing_in_the_dead_letters,
)
"""In this order: later ones change the stack for a while."""


class Report:
    """What was done, how long it took, and what went wrong, told as it goes."""

    def __init__(self) -> None:
        self.ok = True

    def did(self, what: str, work: Callable[[], object]) -> bool:
        begun = time.monotonic()
        try:
            told, good = work(), True
        except Exception as error:
            told, good = f"{type(error).__name__}: {error}", False
        self.ok = self.ok and good
        print(f"{'ok' if good else 'FAILED':6} {time.monotonic() - begun:6.1f} s  {what}: {told}", flush=True)
        return good


def deployed(stack: Stack) -> str:
    stack.deploy()
    sizes = ", ".join(f"{name} {size / 1000:,.0f} KB" for name, size in stack.sizes().items())
    return f"packages unzipped: {sizes}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stack", default="durable-fn", help="the stack's name")
    parser.add_argument("--sam", default="sam", help="the SAM command")
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    parser.add_argument("--runtime", default=runtime, help="of the functions; default: the Python that runs this")
    parser.add_argument("--no-deploy", action="store_true", help="use a stack that is there already")
    parser.add_argument("--skip", action="append", default=[], metavar="CHECK", help="what this endpoint cannot do")
    given = parser.parse_args()
    if not os.environ.get("AWS_ENDPOINT_URL"):
        parser.error("AWS_ENDPOINT_URL is not set. This makes and changes real resources: name the emulator's address")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(name, "test")
    os.environ["AWS_REGION"] = REGION
    report = Report()
    with tempfile.TemporaryDirectory(prefix="durable-fn-smoke-") as directory:
        stack = Stack(given.stack, given.sam, given.runtime, directory)
        if given.no_deploy or report.did("sam build and sam deploy", lambda: deployed(stack)):
            with client_of(stack) as client:
                smoke = Smoke(stack, client)
                for check in CHECKS:
                    what = check.__name__.replace("_", " ")
                    if what.replace(" ", "-") not in given.skip:
                        report.did(what, lambda check=check: check(smoke))  # type: ignore[misc]
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
