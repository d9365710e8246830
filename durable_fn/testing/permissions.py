"""Which IAM permissions a request needs, so that a policy can be held against what the code really does.

A transaction needs the permissions of its parts (there is no action "TransactWriteItems" in IAM), and a schedule with a role
needs iam:PassRole on that role.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

_PARTS: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_S3: Final = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}


class Permission(NamedTuple):
    """`caller`: whose role: "client", "sweeper", "scheduler", or the name of a durable function. `resource` is an ARN."""

    caller: str
    action: str
    resource: str


class Place(NamedTuple):
    """Whose resources they are."""

    region: str
    account: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def needed(
    place: Place, service: str, action: str, body: dict[str, Any], method: str, url: str
) -> list[tuple[str, str]]:
    """Pairs of IAM action and resource ARN. Only DynamoDB, SQS, Scheduler and S3 are looked at: what a handler does with
    other services is its own business."""
    if service == "dynamodb":
        return _dynamodb(place, action, body)
    if service == "sqs":
        action = "SendMessage" if action == "SendMessageBatch" else action  # one right for both
        return [(f"sqs:{action}", place.arn("sqs", str(body.get("QueueUrl", "*")).rpartition("/")[2]))]
    if service == "scheduler" and action == "CreateSchedule":
        schedule = place.arn("scheduler", f"schedule/{body.get('GroupName', 'default')}/{body['Name']}")
        return [("scheduler:CreateSchedule", schedule), ("iam:PassRole", str(body["Target"]["RoleArn"]))]
    if service == "scheduler":
        return [(f"scheduler:{method}", place.arn("scheduler", urlsplit(url).path.lstrip("/")))]
    parts = urlsplit(url)
    bucket, s3, _ = (parts.hostname or "").partition(".s3.")
    return _s3(bucket, unquote(parts.path.lstrip("/")), method, body) if s3 else []


def _dynamodb(place: Place, action: str, body: dict[str, Any]) -> list[tuple[str, str]]:
    parts = (
        [next(iter(item.items())) for item in body["TransactItems"]]
        if action == "TransactWriteItems"
        else [(action, body)]
    )
    if action == "BatchGetItem":
        parts = [(action, {"TableName": table}) for table in body.get("RequestItems", {"*": None})]
    found = []
    for kind, request in parts:
        table = place.arn("dynamodb", f"table/{request.get('TableName', '*')}")
        index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
        found.append((f"dynamodb:{_PARTS.get(kind, kind)}", table + index))
    return found


def _s3(bucket: str, key: str, method: str, body: dict[str, Any]) -> list[tuple[str, str]]:
    if not key and method == "POST":
        return [("s3:DeleteObject", f"arn:aws:s3:::{bucket}/{one}") for one in body.get("Keys", ["*"])]
    if not key:
        return [("s3:ListBucket" if method == "GET" else f"s3:{method}", f"arn:aws:s3:::{bucket}")]
    return [(_S3.get(method, f"s3:{method}"), f"arn:aws:s3:::{bucket}/{key}")]
