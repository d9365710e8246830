"""A cloud in the process: DynamoDB, SQS and Scheduler in moto, and a driver that does what AWS does between them.

The driver polls the queues as an SQS event source does (visibility timeout, redelivery, dead letters), fires one-time
schedules into them, runs the sweeper every minute, and all of it on virtual time, so that a sleep of 30 days takes
milliseconds on the code path that runs on AWS.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Collection
from contextlib import ExitStack
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, TypeVar

from .. import sweeper
from ..backends.aws import DynamoStore, SqsWakeups
from ..backends.aws.blobs import S3Blobs
from ..backends.clocks import VirtualClock
from ..backends.packed import PackedStore
from ..backends.ports import Backend, JournalStore, every
from ..client import DurableClient
from ..core.function import DurableFunction
from ..log.durations import aware, milliseconds, moment
from ..log.header import Header
from ..log.ids import checked_id, rule_text
from ..runtime.signalling import not_found
from ..types import Duration
from ..wiring import extensions, using
from .account import Account
from .handlers import by_name, decorated
from .lambda_context import FakeLambdaContext
from .moto_account import ACCOUNT, REGION, TABLE, MotoAccount
from .moto_wire import Request
from .permissions import Permission
from .runner import EPOCH, Execution
from .waits import Patience, busy, jumps_to

E = TypeVar("E")
R = TypeVar("R")

_log = logging.getLogger("durable_fn.testing")

BUCKET: Final = "durable-fn-values"
BATCH: Final = 10
_ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/durable-fn-scheduler"
_MINUTE: Final = 60_000
_DAY: Final = 86_400_000
_MOST_ROUNDS: Final = 20_000
_MOST_HOPS: Final = 16
"""Lambda ends a chain of invocations through queues when it would come to one function for the 17th time."""


class LocalCloud:
    """A context manager, entered once, and one at a time. Handlers are deployed with `attach`: each gets its own queue and
    dead-letter queue.

    `timeout`: the functions', in seconds; messages come again after six times that, as AWS recommends, and go to the
    dead-letter queue after `max_receives`. `schedules=False` leaves out the Scheduler role, `bucket=True` adds a bucket for
    large values. `deliveries`: how often each message is delivered; SQS promises only "at least once". `recursive_loop`: the
    functions' RecursiveLoop property; with "Terminate", which is Lambda's default, timers and polls end in the dead-letter
    queue after 16 rounds. `queues`: the functions that DURABLE_FN_QUEUES names to all others and to clients, all of them by
    default; others are known when they have run once.
    """

    _account: ClassVar[type[Account]] = MotoAccount
    """What answers for AWS."""

    def __init__(
        self,
        *handlers: DurableFunction[Any, Any],
        now: datetime | None = None,
        timeout: float = 60,
        max_receives: int = 5,
        schedules: bool = True,
        shards: int = 16,
        bucket: bool = False,
        deliveries: int = 1,
        recursive_loop: Literal["Allow", "Terminate"] = "Allow",
        queues: Collection[str] | None = None,
    ) -> None:
        by_name("LocalCloud", *handlers)
        self._handlers = handlers
        self._bucket = bucket
        self._recursive_loop = recursive_loop
        self._named = queues
        self._told: dict[str, str] = {}
        self._environments: dict[tuple[str, str | None], Backend] = {}
        self._registered: dict[str, str] = {}
        self._deliveries = deliveries
        self.clock = VirtualClock(moment(EPOCH if now is None else now, "now"))
        self.account = self._account(self.clock)
        self.wire = self.account.wire
        self._timeout = timeout
        self._max_receives = max_receives
        self._role = _ROLE if schedules else None
        self._shards = shards
        self._functions: dict[str, DurableFunction[Any, Any]] = {}
        self._queues: dict[str, str] = {}
        self._reaped = self.clock.now()
        self._stack = ExitStack()
        self._entered = self._inside = False
        self._raised: dict[str, BaseException] = {}  # as on AWS, nobody outside sees what a handler raised
        self.deaths: list[BaseException] = []
        """What invocations from the queue raised instead of answering."""

    def __enter__(self) -> LocalCloud:
        if self._entered:
            raise RuntimeError("a LocalCloud is entered once; make another one")
        self._stack.enter_context(self.account.open())
        self._entered = self._inside = True
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self) -> None:
        sdk = self.account.client
        with self.wire.aside():
            sdk("dynamodb").create_table(**table_definition(TABLE))
            ttl = {"AttributeName": "ttl", "Enabled": True}
            sdk("dynamodb").update_time_to_live(TableName=TABLE, TimeToLiveSpecification=ttl)
            sdk("scheduler").create_schedule_group(Name="durable-fn")
            if self._bucket:
                place = {"LocationConstraint": REGION}
                sdk("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        self.store = DynamoStore(sdk("dynamodb"), TABLE, shards=self._shards, sleep=self.clock.sleep)
        self.backend = self._backend(None)
        self._client = DurableClient(self.backend)
        for handler in self._handlers:
            self.attach(handler)

    def __exit__(self, *exc: object) -> None:
        self._inside = False
        self._stack.close()

    @property
    def client(self) -> DurableClient:
        self._check_inside()
        return self._client

    def _check_inside(self) -> None:
        """Outside, requests would go to AWS."""
        if not self._inside:
            raise RuntimeError(
                "a LocalCloud is there inside of its `with` block only: `with LocalCloud(order) as cloud:`"
            )

    def _backend(self, queue_url: str | None) -> Backend:
        sdk = self.account.client
        wakeups = SqsWakeups(
            lambda: sdk("sqs"),
            lambda: sdk("scheduler"),
            self.store,
            queue_url=queue_url,
            queues=self._told,
            group="durable-fn",
            role_arn=self._role,
            sleep=self.clock.sleep,
            monotonic=self.clock.monotonic,
        )
        blobs = S3Blobs(lambda: sdk("s3"), BUCKET) if self._bucket else None
        hooks, codec = extensions()
        return Backend(PackedStore(self.store, codec, blobs), wakeups, self.clock, "aws", hooks)

    # -- functions -------------------------------------------------------------------------------------------------

    def attach(self, function: DurableFunction[Any, Any]) -> None:
        """Deploys it, or a new version of it. It registers itself when it runs for the first time."""
        decorated("attach", function)
        self._check_inside()
        name = function.name
        if name not in self._functions:
            with self.wire.aside():
                self._queues[name] = self._queue(name)
            if self._named is None or name in self._named:
                self._told[name] = self._queues[name]
        self._functions[name] = function
        self._environments = {key: kept for key, kept in self._environments.items() if key[0] != name}

    def deploy(self, handler: DurableFunction[Any, Any], /) -> None:
        """As `LocalRunner.deploy`: new code for the function of that name, or a new one."""
        decorated("deploy", handler)
        self.attach(handler)

    def start(self, function: DurableFunction[E, R], event: E, id: str | None = None) -> Execution[R]:
        """Starts an execution; nothing runs before `run`, `run_until_idle` or `advance`. Raises what `DurableClient.start`
        does."""
        return Execution(self, function, self.client.start(function, event, id=id))

    # -- from outside ----------------------------------------------------------------------------------------------

    def signal(self, id: str, signal: Any, payload: Any = None, **options: Any) -> None:
        """As `DurableClient.signal`, as the others here are as the client's."""
        self.client.signal(id, signal, payload, **options)

    def complete_callback(self, token: str, result: object = None) -> None:
        self.client.complete_callback(token, result)

    def fail_callback(self, token: str, message: str, error_type: str = "CallbackFailed") -> None:
        self.client.fail_callback(token, message, error_type)

    def heartbeat_callback(self, token: str) -> None:
        self.client.heartbeat_callback(token)

    def cancel(self, id: str, reason: str | None = None) -> None:
        self.client.cancel(id, reason)

    # -- what an `Execution` looks at ------------------------------------------------------------------------------

    @property
    def _journal(self) -> JournalStore:
        return self.backend.store

    def _header(self, id: str) -> Header:
        with self.wire.aside():
            header = self.backend.store.get(id)
        if header is None:
            raise not_found(id)
        return header

    def _queue(self, fn: str) -> str:
        sqs, name = self.account.client("sqs"), "".join(c if c.isalnum() else "-" for c in fn)
        dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": self._max_receives})
        attributes = {"VisibilityTimeout": str(round(self._timeout * 6)), "RedrivePolicy": redrive}
        return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def queue_url(self, function: DurableFunction[Any, Any]) -> str:
        return self._queues[function.name]

    def dead_letters(self, function: DurableFunction[Any, Any]) -> list[str]:
        """Bodies in its dead-letter queue."""
        return [message.body for message in self._moto_queue(self._queues[function.name] + "-dead")._messages]

    def invoke(
        self,
        function: DurableFunction[Any, Any],
        event: Any,
        *,
        request_id: str | None = None,
        hops: dict[str, int] | None = None,
    ) -> Any:
        """A synchronous invocation of its Lambda. Raises what it raises. `hops`: how often each function was invoked in the
        chain that leads here."""
        self._check_inside()
        context = FakeLambdaContext(self.clock, timeout=self._timeout, function_name=function.name)
        if request_id is not None:
            context.aws_request_id = request_id
        backend = self._environment(function.name)
        before = self.wire.hops
        self.wire.hops = {**(hops or {}), function.name: (hops or {}).get(function.name, 0) + 1}
        try:
            with using(backend), self.wire.acting(function.name):
                return function(event, context)
        finally:
            self.wire.hops = before

    def _environment(self, fn: str) -> Backend:
        """Of a warm Lambda: what it remembers of queues stays until the function is deployed anew."""
        queue = self._queues.get(fn)
        if queue is not None and self._registered.get(fn) != queue:
            self._registered[fn] = queue
            try:
                with self.wire.aside():
                    self.store.register(fn, queue, rule_text(self._functions[fn].execution_id))
            except Exception:
                _log.warning("the queue of durable function %r could not be registered", fn, exc_info=True)
        if (fn, queue) not in self._environments:
            self._environments[fn, queue] = self._backend(queue)
        return self._environments[fn, queue]

    # -- time ------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Virtual time."""
        return aware(self.clock.now())

    def run(self, id: str) -> Header:
        """Runs on until the execution has ended, is held up by a mismatch, or waits for something from outside."""
        checked_id(id)
        patience = Patience(id)
        while True:
            self.run_until_idle()
            with self.wire.aside():
                header = self._header(id)
                patience.spend(self.backend.store, header, self.clock.now())
            moment = self._next_event()
            if not header.live or header.held or moment is None or not self._goes_on():
                return header
            self._pass_time(moment)

    def run_on(self, execution: Execution[Any]) -> None:
        """As `LocalRunner.run_on`."""
        self.run(execution.id)

    def _goes_on(self) -> bool:
        """Whether any execution goes on by itself, without somebody outside or the end of its patience."""
        with self.wire.aside():
            live = [header for header in every(self.store) if header.live]
            going = [h for h in live if jumps_to(self.backend.store, h) is not None]
        stuck = next((header for header in going if header.fn not in self._functions), None)
        if stuck is not None and all(header.fn not in self._functions for header in going):
            raise LookupError(
                f"execution {stuck.id!r} needs the handler {stuck.fn!r}; attach it to the LocalCloud. Attached: "
                f"{', '.join(map(repr, self._functions)) or 'none'}"
            )
        return bool(going)

    def advance(self, duration: Duration) -> None:
        """Lets time pass: all that becomes due meanwhile happens, in order."""
        until = self.clock.now() + milliseconds(duration, "the duration to advance")
        self.run_until_idle()
        while (moment := self._next_event()) is not None and moment <= until:
            self._pass_time(moment)
            self.run_until_idle()
        self._pass_time(until)

    def _pass_time(self, until: int) -> None:
        """DynamoDB's TTL removes meanwhile what may be removed, all of it and at once (on AWS: some of it, within days)."""
        self.clock.advance_to(until)
        if until - self._reaped < _DAY:
            return
        self._reaped = until
        self.account.reap(until)

    def run_until_idle(self) -> None:
        """All that happens at the present time."""
        self._check_inside()
        for _ in range(_MOST_ROUNDS):
            busy = self._fire_schedules()
            for fn in list(self._queues):
                busy = self._poll(fn) or busy
            if not busy and not self._sweep():
                return
        raise self._busy()

    def _busy(self) -> RuntimeError:
        with self.wire.aside():
            live = [header for header in every(self.store) if header.live]
        return busy(min(live, key=lambda header: header.due or self.clock.now()), _MOST_ROUNDS)

    def _next_event(self) -> int | None:
        """When something happens next: a message becomes visible, a schedule fires, the sweeper finds something."""
        times = [at for fn in self._queues for at in self._message_times(fn)]
        times += [at for _, at in self._schedules()]
        due = self._first_due()
        if due is not None:
            now = self.clock.now()
            times.append(max(-(-due // _MINUTE), now // _MINUTE + 1) * _MINUTE)
        return max(min(times), self.clock.now()) if times else None

    # -- the parts of AWS ------------------------------------------------------------------------------------------

    def _moto_queue(self, url: str) -> Any:
        return self.account.queue(url)

    def _message_times(self, fn: str) -> list[int]:
        messages = self._moto_queue(self._queues[fn])._messages
        return [int(max(m.delayed_until, m.visible_at + 1 if m.visible_at else 0)) for m in messages]

    def _poll(self, fn: str) -> bool:
        """One batch, as Lambda's event source takes it. Returns whether there was one."""
        sqs, url = self.account.client("sqs"), self._queues[fn]
        if not any(at <= self.clock.now() for at in self._message_times(fn)):
            return False
        with self.wire.aside(), self.wire.acting(fn):
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH, AttributeNames=["All"]).get(
                "Messages", []
            )
        found = self._within_the_loop(fn, found)
        if not found:
            return False
        hops = self._hops(found)
        batch = {"Records": [_record(message, fn) for message in found]}
        try:
            for _ in range(self._deliveries):
                answer = self.invoke(self._functions[fn], batch, hops=hops)
        except BaseException as death:
            if isinstance(death, KeyboardInterrupt):
                raise
            _log.info("the invocation died", exc_info=True)
            self.deaths.append(death)
            return True
        failed = {failure["itemIdentifier"] for failure in (answer or {}).get("batchItemFailures", [])}
        with self.wire.aside(), self.wire.acting(fn):
            for message in found:
                if message["MessageId"] not in failed:
                    with contextlib.suppress(sqs.exceptions.ReceiptHandleIsInvalid):  # it took longer than it is hidden
                        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return True

    def _hops(self, messages: list[Any]) -> dict[str, int]:
        """Of an invocation with these messages: the longest chain that led to any of them."""
        hops: dict[str, int] = {}
        for message in messages:
            for fn, count in self.wire.lineage.get(message["MessageId"], {}).items():
                hops[fn] = max(count, hops.get(fn, 0))
        return hops

    def _within_the_loop(self, fn: str, messages: list[Any]) -> list[Any]:
        """Without those that Lambda would not hand over any more: they go to the dead-letter queue."""
        if self._recursive_loop == "Allow":
            return messages
        refused = [m for m in messages if self.wire.lineage.get(m["MessageId"], {}).get(fn, 0) >= _MOST_HOPS]
        sqs, url = self.account.client("sqs"), self._queues[fn]
        with self.wire.aside():
            for message in refused:
                _log.warning("Lambda ended a recursive loop of function %r: set its RecursiveLoop to Allow", fn)
                sqs.send_message(QueueUrl=f"{url}-dead", MessageBody=message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message for message in messages if message not in refused]

    def _schedules(self) -> list[tuple[Any, int]]:
        return [
            (schedule, round(datetime.fromisoformat(schedule.schedule_expression[3:-1] + "+00:00").timestamp() * 1000))
            for schedule in self.account.schedules()
        ]

    def _fire_schedules(self) -> bool:
        fired = [schedule for schedule, at in self._schedules() if at <= self.clock.now()]
        sqs, scheduler = self.account.client("sqs"), self.account.client("scheduler")
        with self.wire.aside():
            for schedule in fired:
                name = schedule.target["Arn"].rpartition(":")[2]
                url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
                with self.wire.acting("scheduler"):
                    sqs.send_message(QueueUrl=url, MessageBody=schedule.target["Input"])
                scheduler.delete_schedule(Name=schedule.name, GroupName=schedule.group_name)
        return bool(fired)

    def _first_due(self) -> int | None:
        return self.account.first_due()

    def _sweep(self) -> bool:
        """On the full minute, if there is something to find: its cost would else be most of a long sleep's."""
        now, due = self.clock.now(), self._first_due()
        if now % _MINUTE or due is None or due > now:
            return False
        with self.wire.aside(), self.wire.acting("sweeper"):
            return sweeper.sweep(self.backend).sent > 0

    @property
    def requests(self) -> list[Request]:
        """What the code under test sent, botocore's own retries included."""
        return self.wire.requests

    @property
    def permissions(self) -> set[Permission]:
        """What all this needs in IAM, by caller: hold it against your policies."""
        return self.wire.permissions


def table_definition(name: str) -> dict[str, Any]:
    """The journal's table, as CreateTable takes it."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "shard", "AttributeType": "N"},
            {"AttributeName": "due", "AttributeType": "N"},
            {"AttributeName": "shelf", "AttributeType": "S"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "shard", "KeyType": "HASH"},
                    {"AttributeName": "due", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
            {
                "IndexName": "listing",
                "KeySchema": [
                    {"AttributeName": "shard", "KeyType": "HASH"},
                    {"AttributeName": "shelf", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["fn"]},
            },
        ],
    }


def _record(message: dict[str, Any], fn: str) -> dict[str, Any]:
    """A message as Lambda's event source mapping shows it
    (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event)."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{fn}",
        "awsRegion": REGION,
    }
