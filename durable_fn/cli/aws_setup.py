"""What a doctor looks at on AWS. Nothing is changed by looking: whether something may be written is tried by writes whose
condition cannot hold. AWS looks at the right before the condition.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..backends.ports import Backend
from .findings import FAIL, OK, WARN, Finding, State, asked

TABLE: Final = "DURABLE_FN_TABLE"
Clients = Callable[[str], Any]
_KEYS: Final = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
_PAGE: Final = "docs/add-to-a-stack.md"


def set_up(backend: Backend, clients: Clients) -> Iterator[Finding]:
    """Without a table nothing else can be seen."""
    yield from _environment()
    table, found = _table(clients)
    yield from found
    if table is not None:
        yield from _permissions(clients, table)
        yield from _queues(backend, clients)
        yield from _companions(clients)


# -- the journal -----------------------------------------------------------------------------------------------------------


def _environment() -> Iterator[Finding]:
    names = ("DURABLE_FN_TABLE", "DURABLE_FN_QUEUES", "DURABLE_FN_BUCKET", "DURABLE_FN_KMS_KEY", "DURABLE_FN_SCHEDULE_ROLE_ARN",
             "DURABLE_FN_SCHEDULE_GROUP", "AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL")  # fmt: skip
    there = ", ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))
    yield Finding("environment", OK, there)


def _table(clients: Clients) -> tuple[dict[str, Any] | None, list[Finding]]:
    """As DynamoDB describes it; None where it cannot be seen."""
    name = os.environ.get(TABLE, "")
    try:
        table: dict[str, Any] = clients("dynamodb").describe_table(TableName=name)["Table"]
    except Exception as error:
        return None, [
            Finding("table", FAIL, str(error), f"deploy the stack, or correct {TABLE}, the region or the profile")
        ]
    found = [Finding("table", OK, f"{name}, {table['TableStatus'].lower()}")]
    if table["KeySchema"] != _KEYS:
        keys = ", ".join(key["AttributeName"] for key in table["KeySchema"])
        found = [
            Finding(
                "table",
                FAIL,
                f"{name} has the keys {keys}",
                "a journal has pk and sk, both strings: name another table",
            )
        ]
    indices = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", [])}
    found += [
        _index(
            indices.get("due"), "due", ["shard", "due"], FAIL, f"add it ({_PAGE}): no lost wake-up is found without it"
        ),
        _index(
            indices.get("listing"),
            "listing",
            ["shard", "shelf"],
            WARN,
            "add it (docs/guide/listing.md): lists read the whole table",
        ),
        _ttl(clients, name),
        _recovery(clients, name),
    ]
    return table, found


def _index(index: dict[str, Any] | None, name: str, keys: list[str], missing: State, fix: str) -> Finding:
    part = f"index {name}"
    if index is None:
        return Finding(part, missing, "is not there", fix)
    there = [key["AttributeName"] for key in index["KeySchema"]]
    if there != keys:
        return Finding(
            part, FAIL, f"has the keys {', '.join(there)}", f"make it anew with the keys {', '.join(keys)} ({_PAGE})"
        )
    if index.get("IndexStatus", "ACTIVE") != "ACTIVE":
        return Finding(part, WARN, f"is {index['IndexStatus'].lower()}", "wait until DynamoDB has made it")
    return Finding(part, OK, ", ".join(keys))


def _ttl(clients: Clients, name: str) -> Finding:
    told = asked(lambda: clients("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"])
    if isinstance(told, Exception):
        return Finding("TTL", WARN, f"could not be looked at: {told}", "allow dynamodb:DescribeTimeToLive")
    if told.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") and told.get("AttributeName") == "ttl":
        return Finding("TTL", OK, "removes what is over, by the attribute ttl")
    return Finding(
        "TTL",
        FAIL,
        "is off, or looks at another attribute",
        "enable it for the attribute ttl: finished executions stay for ever",
    )


def _recovery(clients: Clients, name: str) -> Finding:
    told = asked(
        lambda: clients("dynamodb").describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    )
    if isinstance(told, Exception):
        return Finding("backups", WARN, f"could not be looked at: {told}", "allow dynamodb:DescribeContinuousBackups")
    if told.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") == "ENABLED":
        return Finding("backups", OK, "the table can be restored to any second")
    return Finding(
        "backups", WARN, "point-in-time recovery is off", "enable it: a journal that is lost cannot be made again"
    )


# -- rights ----------------------------------------------------------------------------------------------------------------


def _permissions(clients: Clients, table: dict[str, Any]) -> Iterator[Finding]:
    """Of who runs this command; functions have roles of their own."""
    name, client = table["TableName"], clients("dynamodb")
    indices = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", [])}
    denied = [action for action, request in _tries(client, name, indices) if _is_denied(request)]
    if denied:
        fix = "attach the template's ClientAccess, or allow them"
        yield Finding("permissions", FAIL, f"you may not {', '.join(denied)} on {name}", fix)
    else:
        yield Finding("permissions", OK, "you may read and write the journal")


def _tries(client: Any, name: str, indices: set[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    key = {"pk": {"S": f" doctor {secrets.token_hex(8)}"}, "sk": {"S": "H"}}
    never = {"TableName": name, "ConditionExpression": "attribute_exists(pk)"}
    yield "dynamodb:GetItem", lambda: client.get_item(TableName=name, Key=key)
    yield "dynamodb:BatchGetItem", lambda: client.batch_get_item(RequestItems={name: {"Keys": [key]}})
    yield "dynamodb:PutItem", lambda: client.put_item(Item=key, **never)
    yield "dynamodb:UpdateItem", lambda: client.update_item(Key=key, **never)
    yield "dynamodb:DeleteItem", lambda: client.delete_item(Key=key, **never)
    one = {"TableName": name, "Limit": 1, "ExpressionAttributeValues": {":pk": key["pk"]}}
    yield "dynamodb:Query", lambda: client.query(KeyConditionExpression="pk = :pk", **one)
    if "listing" in indices:
        values = {":shard": {"N": "0"}}
        yield (
            "dynamodb:Query on the index listing",
            lambda: client.query(
                TableName=name, IndexName="listing", Limit=1, KeyConditionExpression="shard = :shard",
                ExpressionAttributeValues=values,
            ),
        )  # fmt: skip


def _is_denied(request: Callable[[], Any]) -> bool:
    error = asked(request)
    return isinstance(error, Exception) and _code(error) in ("AccessDeniedException", "AccessDenied")


# -- who wakes executions --------------------------------------------------------------------------------------------------


def _queues(backend: Backend, clients: Clients) -> Iterator[Finding]:
    for name in sorted(backend.store.functions()):
        queue = backend.store.locate(name)
        if queue:
            yield from _queue(clients, name, queue)


def _queue(clients: Clients, name: str, url: str) -> Iterator[Finding]:
    part = f"queue of {name}"
    told = asked(lambda: clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])
    if isinstance(told, Exception):
        yield Finding(
            part, FAIL, f"{url}: {told}", "deploy the function's stack again, or allow sqs:GetQueueAttributes"
        )
        return
    if "RedrivePolicy" not in told:
        yield Finding(
            part, WARN, "has no dead-letter queue", "give it one: a message that fails for ever is tried for ever"
        )
    else:
        yield Finding(part, OK, f"about {told.get('ApproximateNumberOfMessages', '?')} messages")
    yield from _function(clients, name, told)


def _function(clients: Clients, name: str, queue: dict[str, str]) -> Iterator[Finding]:
    """Of the Lambda function that takes the messages."""
    part, client = f"Lambda of {name}", clients("lambda")
    mappings = asked(lambda: client.list_event_source_mappings(EventSourceArn=queue["QueueArn"])["EventSourceMappings"])
    if isinstance(mappings, Exception):
        yield Finding(part, WARN, f"could not be looked at: {mappings}", "allow lambda:ListEventSourceMappings")
        return
    if not mappings:
        yield Finding(
            part,
            FAIL,
            "no event source takes messages from its queue",
            "add the SQS event of its template: nobody runs what is due",
        )
        return
    for mapping in mappings:
        yield from _mapping(client, part, mapping, queue)


def _mapping(client: Any, part: str, mapping: dict[str, Any], queue: dict[str, str]) -> Iterator[Finding]:
    if mapping.get("State", "Enabled") not in ("Enabled", "Enabling", "Updating", "Creating"):
        yield Finding(
            part, FAIL, f"its event source is {mapping['State'].lower()}", "enable it: nobody runs what is due"
        )
    if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
        fix = "set FunctionResponseTypes: [ReportBatchItemFailures]"
        yield Finding(part, FAIL, "its event source does not report single failures: one fails all of a batch", fix)
    arn = mapping["FunctionArn"]
    yield _visible(client, part, arn, queue)
    told = asked(lambda: client.get_function_recursion_config(FunctionName=arn)["RecursiveLoop"])
    if isinstance(told, Exception):
        yield Finding(
            part, WARN, f"its RecursiveLoop could not be looked at: {told}", "allow lambda:GetFunctionRecursionConfig"
        )
    elif told != "Allow":
        fix = "set RecursiveLoop: Allow: timers, retries and polls look like a loop to Lambda, which ends them after 16 rounds"
        yield Finding(part, FAIL, f"its RecursiveLoop is {told}", fix)
    else:
        yield Finding(part, OK, "takes messages, and may wake itself")


def _visible(client: Any, part: str, arn: str, queue: dict[str, str]) -> Finding:
    told = asked(lambda: client.get_function_configuration(FunctionName=arn)["Timeout"])
    if isinstance(told, Exception):
        return Finding(
            part, WARN, f"its timeout could not be looked at: {told}", "allow lambda:GetFunctionConfiguration"
        )
    visibility = int(queue.get("VisibilityTimeout", 30))
    if visibility < int(told):
        fix = f"set the queue's VisibilityTimeout to {6 * int(told)}: six times the timeout, as AWS recommends"
        return Finding(part, FAIL, f"runs {told} s, and its messages come again after {visibility} s", fix)
    return Finding(part, OK, f"timeout {told} s, messages come again after {visibility} s")


def _companions(clients: Clients) -> Iterator[Finding]:
    bucket, group = os.environ.get("DURABLE_FN_BUCKET"), os.environ.get("DURABLE_FN_SCHEDULE_GROUP")
    if bucket:
        told = asked(lambda: clients("s3").head_bucket(Bucket=bucket))
        failed = isinstance(told, Exception)
        yield Finding(
            "bucket",
            FAIL if failed else OK,
            f"{bucket}{f': {told}' if failed else ''}",
            "correct DURABLE_FN_BUCKET" if failed else "",
        )
    if group:
        told = asked(lambda: clients("scheduler").get_schedule_group(Name=group))
        failed = isinstance(told, Exception)
        fix = "correct DURABLE_FN_SCHEDULE_GROUP, or allow scheduler:GetScheduleGroup" if failed else ""
        yield Finding("schedules", WARN if failed else OK, f"{group}{f': {told}' if failed else ''}", fix)


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
