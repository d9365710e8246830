"""The template as it stands on the local cloud: which of the two's resources are the same."""

from __future__ import annotations

from durable_fn.testing.cloud import BUCKET
from durable_fn.testing.moto_account import ACCOUNT, REGION, TABLE
from tests.template.cloudformation import TEMPLATE, Template

FUNCTIONS = ("OrderFulfilment", "CustomerOnboarding", "AiAgent", "PydanticAgent", "OpenaiAgent", "AuditPipeline")
_NAMES = {"Journal": TABLE, "LargeValues": BUCKET, "Schedules": "durable-fn", "SchedulerRole": "durable-fn-scheduler"}
_ARNS = {
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/",
    "AWS::S3::Bucket": "arn:aws:s3:::",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:",
    "AWS::Scheduler::ScheduleGroup": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/",
    "AWS::Serverless::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:",
}


def _name(logical: str) -> str:
    return _NAMES.get(logical, logical)


def _att(logical: str, kind: str, attribute: str) -> str:
    if attribute == "Arn":
        return _ARNS[kind] + _name(logical)
    assert attribute == "QueueName"
    return _name(logical)


def staged(text: str | None = None) -> Template:
    """Queues are named by their logical ids, all else as on the local cloud."""
    pseudo = {
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::AccountId": ACCOUNT,
        "AWS::StackName": "stack",
        "AWS::URLSuffix": "amazonaws.com",
    }
    return Template(text or TEMPLATE.read_text(), lambda logical, kind: _name(logical), _att, pseudo)
