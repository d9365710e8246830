"""An AWS account in moto: what a local cloud asks of AWS, and what it looks at behind the API."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends
from moto.scheduler.models import scheduler_backends
from moto.sqs.models import sqs_backends

from ..backends.clocks import VirtualClock
from .moto_wire import Wire
from .permissions import Place

REGION: Final = "eu-central-1"
TABLE: Final = "durable-fn"
ACCOUNT: Final = "123456789012"


class MotoAccount:
    """An `Account`. moto has one for the whole process."""

    _is_open: ClassVar[bool] = False

    def __init__(self, clock: VirtualClock) -> None:
        self._wire = Wire(clock, Place(REGION, ACCOUNT))

    @property
    def wire(self) -> Wire:
        return self._wire

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        if MotoAccount._is_open:
            raise RuntimeError("another LocalCloud is open: give all handlers to one, or leave its `with` block first")
        MotoAccount._is_open = True
        try:
            with mock_aws(), self._wire.open():
                yield
        finally:
            MotoAccount._is_open = False

    def client(self, service: str) -> Any:
        return client(service)

    def queue(self, url: str) -> Any:
        """As it is kept, with all its `_messages`."""
        return sqs_backends[ACCOUNT][REGION].queues[url.rpartition("/")[2]]

    def schedules(self) -> list[Any]:
        groups = scheduler_backends[ACCOUNT][REGION].schedule_groups.values()
        return [schedule for group in groups for schedule in group.schedules.values()]

    def first_due(self) -> int | None:
        """The earliest due time of any item."""
        times = (int(item.attrs["due"].value) for item in self._table().all_items() if "due" in item.attrs)
        return min(times, default=None)

    def reap(self, now: int) -> None:
        """What DynamoDB's TTL may remove at this time, in milliseconds."""
        table = self._table()
        for item in list(table.all_items()):
            if "ttl" in item.attrs and int(item.attrs["ttl"].value) * 1000 < now:
                table.delete_item(item.hash_key, item.range_key)

    def _table(self) -> Any:
        return dynamodb_backends[ACCOUNT][REGION].tables[TABLE]


@functools.cache
def client(service: str) -> Any:
    """Kept for the whole process: making one takes tens of milliseconds. moto answers whoever asks."""
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    session.set_credentials("testing", "testing")
    retries = {"mode": "standard", "total_max_attempts": 4}
    return session.create_client(service, region_name=REGION, config=Config(retries=retries))
