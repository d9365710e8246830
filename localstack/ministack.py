"""Runs ministack, an emulator of AWS without Docker, on loopback, with its IAM switched on: `python ministack.py PORT`.

IAM is enforced (`AUTH`), so what the roles in template.yaml do not allow fails here as it does on AWS. Three things are
changed in the pinned version: its scheduler looks at the clock every quarter of a second instead of every ten seconds, a
schedule's ARN names the group it is in, as on AWS, instead of always "default", and the right to send messages covers batches.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    os.environ |= {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "BIND_HOST": "127.0.0.1",  # without it the emulator listens on all interfaces
        "GATEWAY_PORT": sys.argv[1],
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": os.environ.get("AWS_REGION", "eu-central-1"),
    }
    sys.path = [
        path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))
    ]  # this file has its name
    sys.argv = sys.argv[:1]
    from ministack import app
    from ministack.core import iam_actions
    from ministack.services import scheduler

    scheduler._SCHEDULE_TICK_INTERVAL = 0.25
    iam_actions.extract_iam_action = _without_batches(iam_actions.extract_iam_action)
    iam_actions.extract_resource_arn = _with_groups(iam_actions.extract_resource_arn)
    app.main()


def _without_batches(extract: Any) -> Any:
    """Of SQS one right covers an action and its batch, as on AWS."""

    def corrected(*arguments: Any, **named: Any) -> Any:
        action = extract(*arguments, **named)
        return action.removesuffix("Batch") if isinstance(action, str) and action.startswith("sqs:") else action

    return corrected


def _with_groups(extract: Any) -> Any:
    def corrected(service: str, method: str, path: str, headers: dict[str, str], body: bytes, *more: Any) -> str:
        arn: str = extract(service, method, path, headers, body, *more)
        if service == "scheduler" and ":schedule/default/" in arn and body:
            group = json.loads(body).get("GroupName", "default")
            return arn.replace(":schedule/default/", f":schedule/{group}/")
        return arn

    return corrected


if __name__ == "__main__":
    main()
