"""The template's table, queues, functions, alarms: the same that the package is tested with, and nothing forgotten."""

from __future__ import annotations

import ast
import importlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_fn import DurableContext, durable, sweeper
from durable_fn.testing.cloud import BATCH, LocalCloud, table_definition
from durable_fn.testing.lambda_context import FakeLambdaContext
from durable_fn.testing.moto_account import TABLE
from durable_fn.testing.moto_account import client as _client
from durable_fn.wiring import using
from tests.template.cloudformation import ROOT
from tests.template.stage import FUNCTIONS, staged

TEMPLATE = staged()


@durable
def nothing(event: Any, ctx: DurableContext) -> None: ...


# -- the same as the local cloud's ---------------------------------------------------------------------------------


def test_the_table_is_the_one_that_tests_run_on() -> None:
    """Both are made in moto and asked what they are."""
    properties = TEMPLATE.properties("Journal")
    ttl = properties.pop("TimeToLiveSpecification")
    recovery = properties.pop("PointInTimeRecoverySpecification")
    assert ttl == {"AttributeName": "ttl", "Enabled": True}
    assert recovery == {"PointInTimeRecoveryEnabled": True}
    assert properties.pop("DeletionProtectionEnabled") is False
    with LocalCloud() as cloud, cloud.wire.aside():
        client = _client("dynamodb")
        client.create_table(TableName="template", **properties)
        one, other = (client.describe_table(TableName=name)["Table"] for name in ("template", TABLE))
        there = client.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]
    shape = ("AttributeDefinitions", "KeySchema", "BillingModeSummary", "GlobalSecondaryIndexes")
    assert [_plain(one[field]) for field in shape] == [_plain(other[field]) for field in shape]
    assert properties == {key: value for key, value in table_definition("x").items() if key != "TableName"}
    assert (there["TimeToLiveStatus"], there["AttributeName"]) == ("ENABLED", ttl["AttributeName"])


def _plain(value: Any) -> Any:
    """Without the name, which is in the index's ARN."""
    return json.loads(re.sub(r"table/\w[\w-]*", "table/x", json.dumps(value, default=str)))


def test_the_queues_are_those_that_tests_run_on() -> None:
    globals = TEMPLATE.resolve(TEMPLATE.raw["Globals"])["Function"]
    with LocalCloud(timeout=globals["Timeout"]) as cloud, cloud.wire.aside():
        cloud.attach(nothing)
        ask = _client("sqs").get_queue_attributes
        there = ask(QueueUrl=cloud.queue_url(nothing), AttributeNames=["All"])["Attributes"]
    redrive = json.loads(there["RedrivePolicy"])
    for function in FUNCTIONS:
        queue = TEMPLATE.properties(f"{function}Queue")
        dead = TEMPLATE._att(f"{function}DeadLetters", "AWS::SQS::Queue", "Arn")
        assert queue.pop("SqsManagedSseEnabled") is True
        assert queue == {
            "VisibilityTimeout": int(there["VisibilityTimeout"]),
            "RedrivePolicy": {"deadLetterTargetArn": dead, "maxReceiveCount": int(redrive["maxReceiveCount"])},
        }
        assert queue["VisibilityTimeout"] == 6 * globals["Timeout"]
        wake = TEMPLATE.properties(function)["Events"]["Wake"]
        assert wake == {
            "Type": "SQS",
            "Properties": {
                "Queue": TEMPLATE._att(f"{function}Queue", "AWS::SQS::Queue", "Arn"),
                "BatchSize": BATCH,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        }


def test_the_bucket_is_closed_and_forgets() -> None:
    from durable_fn.backends.aws.blobs import _PREFIX

    bucket = TEMPLATE.properties("LargeValues")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Prefix"], rule["Status"], rule["ExpirationInDays"]) == (_PREFIX, "Enabled", 400)
    assert bucket["BucketEncryption"]


# -- functions -----------------------------------------------------------------------------------------------------


DEMOS = {path.parent.name for path in (ROOT / "handlers_demo").glob("*/handler.py")}


def test_every_demo_is_deployed() -> None:
    handlers = {TEMPLATE.properties(function)["Handler"] for function in FUNCTIONS}
    assert {f"handlers_demo.{demo}.handler.handler" for demo in DEMOS} == handlers


@pytest.mark.parametrize("name", sorted(TEMPLATE.of_type("AWS::Serverless::Function")))
def test_handlers_exist(name: str) -> None:
    module, _, attribute = TEMPLATE.properties(name)["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), attribute))


def test_the_demos_are_deployed_alike() -> None:
    """Everything of the functions is the same but for their names, and what a framework needs."""
    texts = []
    for function in FUNCTIONS:
        parts = {name: r for name, r in TEMPLATE.resources.items() if name.startswith(function)}
        handler = parts[function]["Properties"]["Handler"].split(".")[1]
        parts[function] = json.loads(json.dumps(parts[function]))
        for own in ("Description", "Layers", "MemorySize"):
            parts[function]["Properties"].pop(own, None)
        variables = parts[function]["Properties"]["Environment"]["Variables"]
        for variable in [name for name in variables if name.startswith("DURABLE_FN_CALLBACK")]:
            del variables[variable]  # only some have links in their mails
        texts.append(
            json.dumps(parts).replace(function, "X").replace(handler, "x").replace(handler.replace("_", "-"), "x")
        )
    assert len(set(texts)) == 1


def test_dependencies_are_built_for_the_runtime() -> None:
    """`sam build` cannot tell make what the parameters are, so the defaults are held equal."""
    made = (ROOT / "deploy" / "Makefile").read_text()
    parameters = TEMPLATE.raw["Parameters"]
    defaults = dict(re.findall(r"^(\w+) \?= (.+)$", made, re.M))
    assert "python" + defaults["PYTHON_VERSION"] == parameters["Runtime"]["Default"]
    assert defaults["ARCHITECTURE"] == parameters["Architecture"]["Default"]
    for name, resource in TEMPLATE.resources.items():
        if resource["Type"].startswith("AWS::Serverless::") and "Metadata" in resource:
            assert f"build-{name}" in made


# -- the environment -----------------------------------------------------------------------------------------------


def _read(folder: str, prefix: str) -> set[str]:
    """Names of variables in the code: texts that are nothing else."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        if "tests" not in path.parts and not path.name.startswith("test_"):
            texts = (n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))
            found |= {text for text in texts if isinstance(text, str) and re.fullmatch(rf"{prefix}[A-Z_]+", text)}
    return found


def _variables(function: str) -> set[str]:
    everywhere = TEMPLATE.raw["Globals"]["Function"]["Environment"]["Variables"]
    own = TEMPLATE.properties(function).get("Environment", {}).get("Variables", {})
    return set(everywhere) | set(own)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_are_given_the_variables_that_the_package_reads(function: str) -> None:
    own = {
        "DURABLE_FN_BACKEND",  # the embedded journal's
        "DURABLE_FN_CALL_DEPTH", "DURABLE_FN_CHECK_VALUES_UP_TO", "DURABLE_FN_HTTP_ERRORS",
        "DURABLE_FN_METRICS",  # which nobody needs
        "DURABLE_FN_KMS_KEY",  # by a parameter that is empty here
        "DURABLE_FN_QUEUES",  # of who calls others that may not have run yet: here the clients, see the outputs
        "DURABLE_FN_ACTOR",  # of a person, or a client: who redrives
        "DURABLE_FN_UI_CHANGES", "DURABLE_FN_UI_TOKEN",  # of the dashboard
        "DURABLE_FN_CALLBACK_URL",  # of demos with links in their mails
        "DURABLE_FN_CODE_VERSION",  # of a pipeline that knows the commit; else the file's hash does
    }  # fmt: skip
    of_package = _read("durable_fn", "DURABLE_FN_") - own
    of_demos = _read("handlers_demo", "DURABLE_FN_")
    given = _variables(function)
    assert of_package <= given
    assert given - of_package <= of_demos


def test_the_other_functions_are_given_what_they_need() -> None:
    """The sweeper reads no values; the callback API writes large answers and reads large inputs. Both find queues in the
    table, and neither waits long."""
    assert _variables("Sweeper") == {"DURABLE_FN_TABLE"}
    assert _variables("Callbacks") == {"DURABLE_FN_TABLE", "DURABLE_FN_BUCKET"}
    assert _variables("WebDashboard") == {
        "DURABLE_FN_TABLE", "DURABLE_FN_BUCKET", "DURABLE_FN_UI_CHANGES", "DURABLE_FN_SCHEDULE_GROUP",
        "DURABLE_FN_SCHEDULE_ROLE_ARN",
    }  # fmt: skip


# -- alarms and the dashboard --------------------------------------------------------------------------------------


def _alarms() -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    for properties in TEMPLATE.of_type("AWS::CloudWatch::Alarm").values():
        dimensions = tuple(sorted((d["Name"], d["Value"]) for d in properties.get("Dimensions", [])))
        yield properties["Namespace"], properties["MetricName"], dimensions


def test_what_can_go_wrong_has_an_alarm() -> None:
    alarms = set(_alarms())
    wanted = {("AWS/Lambda", "Errors", (("FunctionName", name),)) for name in (*FUNCTIONS, "Sweeper")}
    wanted |= {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", f"{name}DeadLetters"),)) for name in FUNCTIONS
    }
    index = (("GlobalSecondaryIndexName", "due"), ("TableName", TABLE))
    wanted |= {
        ("AWS/Lambda", "Invocations", (("FunctionName", "Sweeper"),)),
        ("AWS/DynamoDB", "ReadThrottleEvents", (("TableName", TABLE),)),
        ("AWS/DynamoDB", "WriteThrottleEvents", (("TableName", TABLE),)),
        ("AWS/DynamoDB", "WriteThrottleEvents", index),
        ("AWS/ApiGateway", "5XXError", (("ApiName", "stack"),)),
        ("durable_fn", "stack-swept", ()),
    }
    own = {alarm for alarm in alarms if alarm[0] == "durable_fn" and alarm[2]}  # see test_alarms
    assert alarms - own == wanted
    assert len(own) == 3 * len(FUNCTIONS)


def test_alarms_go_to_the_topic_if_there_is_one() -> None:
    for name, resource in TEMPLATE.resources.items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            assert "AlarmActions" not in TEMPLATE.properties(name)
            assert resource["Properties"]["AlarmActions"]["Fn::If"][1] == [{"Ref": "AlarmTopicArn"}]


def test_what_the_sweeper_found_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The metric filter reads what the sweeper logs: Lambda's JSON log has the message and its extra fields."""
    metric = TEMPLATE.properties("SweptMetric")
    assert TEMPLATE.properties("Sweeper")["LoggingConfig"]["LogFormat"] == "JSON"
    message = re.fullmatch(r'\{ \$\.message = "(\w+)" \}', metric["FilterPattern"])
    (transformation,) = metric["MetricTransformations"]
    field = transformation["MetricValue"].removeprefix("$.")
    with LocalCloud() as cloud, using(cloud.backend), caplog.at_level(logging.INFO, "durable_fn"):
        cloud.attach(nothing)
        cloud.client.start(nothing, None)
        cloud.clock.sleep(1)
        sweeper.handler({}, FakeLambdaContext(cloud.clock))
    (record,) = [r for r in caplog.records if message and r.getMessage() == message[1]]
    assert getattr(record, field) == 1


def test_the_dashboard_is_json_and_shows_every_function() -> None:
    body = json.loads(TEMPLATE.properties("Dashboard")["DashboardBody"])
    titles = {widget["properties"]["title"]: widget["properties"]["metrics"] for widget in body["widgets"]}
    assert len(titles) == 13
    for title in ("Dead letters (must be 0)", "Failed invocations", "Invocations", "Oldest wake message (s)"):
        assert {metric[-1]["label"] for metric in titles[title]} >= set(FUNCTIONS)
    places = {(w["x"], w["y"]) for w in body["widgets"]}
    assert len(places) == len(body["widgets"])


def test_outputs_name_the_variables_of_clients() -> None:
    outputs = TEMPLATE.raw["Outputs"]
    said = " ".join(output["Description"] for output in outputs.values())
    for variable in ("TABLE", "BUCKET", "SCHEDULE_GROUP", "SCHEDULE_ROLE_ARN", "QUEUES"):
        assert f"DURABLE_FN_{variable}" in said
    assert Path(ROOT / "docs" / "add-to-a-stack.md").exists()


def test_the_index_for_lists_can_be_left_out() -> None:
    text = (ROOT / "template.yaml").read_text().replace('Default: "true"', 'Default: "false"')
    properties = staged(text).properties("Journal")
    assert [index["IndexName"] for index in properties["GlobalSecondaryIndexes"]] == ["due"]
    assert "shelf" not in {row["AttributeName"] for row in properties["AttributeDefinitions"]}
