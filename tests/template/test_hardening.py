"""What the template and the starter refuse and keep: connections, deletion, logs, whom a role trusts."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn.cli import starting_point
from tests.template.cloudformation import TEMPLATE, Template
from tests.template.stage import staged

STARTER = starting_point.files()["template.yaml"]
both = pytest.mark.parametrize("template", [staged(), staged(STARTER)], ids=["template", "starter"])


def with_parameter(name: str, value: Any) -> Template:
    template = staged(TEMPLATE.read_text())
    assert name in template.raw["Parameters"]
    template._parameters[name] = value
    return template


@both
def test_every_queue_refuses_connections_that_are_not_encrypted(template: Template) -> None:
    queues = set(template.of_type("AWS::SQS::Queue"))
    refusing = {}
    for name in template.of_type("AWS::SQS::QueuePolicy"):
        (queue,) = template.resources[name]["Properties"]["Queues"]
        refusing[queue["Ref"]] = template.properties(name)["PolicyDocument"]["Statement"]
    assert queues
    assert set(refusing) == queues
    for queue, (statement,) in refusing.items():
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "sqs:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert statement["Resource"] == template._att(queue, "AWS::SQS::Queue", "Arn")


def test_emulators_that_have_no_other_connections_are_let_in() -> None:
    for resource in staged().resources.values():
        if resource["Type"] in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
            assert resource["Condition"] == "RequiresTls"


@pytest.mark.parametrize(("value", "on"), [("true", True), ("false", False)])
def test_deletion_protection_and_recovery_are_parameters(value: str, on: bool) -> None:
    journal = with_parameter("DeletionProtection", value).properties("Journal")
    assert journal["DeletionProtectionEnabled"] is on
    journal = with_parameter("PointInTimeRecovery", value).properties("Journal")
    assert journal["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": on}


@both
def test_the_journal_survives_its_stack(template: Template) -> None:
    assert template.resources["Journal"]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert template.resources["Journal"]["UpdateReplacePolicy"] == "Retain"
    assert template.properties("Journal")["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_callbacks_reserve_concurrency_where_that_is_said() -> None:
    assert "ReservedConcurrentExecutions" not in staged().properties("Callbacks")
    assert with_parameter("CallbackConcurrency", 5).properties("Callbacks")["ReservedConcurrentExecutions"] == 5


@both
def test_every_function_writes_into_a_log_group_that_forgets(template: Template) -> None:
    for name, resource in template.resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            group = resource["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
            assert template.properties(group)["RetentionInDays"] == 30, name
            assert template.properties(name)["LoggingConfig"]["LogFormat"] == "JSON", "the filters read it"


@both
def test_the_schedulers_role_is_for_schedules_of_this_stack(template: Template) -> None:
    (statement,) = template.properties("SchedulerRole")["AssumeRolePolicyDocument"]["Statement"]
    trusted = statement["Condition"]["StringEquals"]
    assert trusted["aws:SourceArn"] == template._att("Schedules", "AWS::Scheduler::ScheduleGroup", "Arn")
    assert trusted["aws:SourceAccount"] == template.ref("AWS::AccountId")


def test_the_starters_alarms_reach_somebody() -> None:
    starter = staged(STARTER)
    for name in starter.of_type("AWS::CloudWatch::Alarm"):
        assert starter.resources[name]["Properties"]["AlarmActions"] == [{"Ref": "AlarmTopic"}], name


def test_the_starter_has_the_alarms_of_the_template() -> None:
    """Without what it does not have: an API. And its table is its owner's to watch, as the queues of the sweeper are."""
    left_out = {"SweeperFindsMuchAlarm", "CallbacksErrorsAlarm"}
    whole = set(staged().of_type("AWS::CloudWatch::Alarm")) - left_out
    others = (
        "CustomerOnboarding",
        "AiAgent",
        "PydanticAgent",
        "OpenaiAgent",
        "AuditPipeline",
        "Journal",
        "DueIndex",
    )
    wanted = {name.replace("OrderFulfilment", "Welcome") for name in whole if not name.startswith(others)}
    assert set(staged(STARTER).of_type("AWS::CloudWatch::Alarm")) == wanted
