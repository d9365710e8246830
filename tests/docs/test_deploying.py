"""CDK and Terraform as the page about deploying shows them are what the starter's template is."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn.cli import starting_point
from tests.docs import infrastructure as shown
from tests.template.stage import staged

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
OF_THE_SOURCE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
"""SAM adds them to a role, as CDK does; there with two more."""


@pytest.fixture(scope="module")
def starter() -> Any:
    return staged(starting_point.files()["template.yaml"])


def of_starter(starter: Any, function: str) -> dict[str, list[str]]:
    documents = starter.resources[function]["Properties"]["Policies"]
    return shown.actions([statement for document in documents for statement in document["Statement"]])


# -- Terraform -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def terraform() -> dict[str, dict[str, Any]]:
    return shown.resources()


def test_terraform_has_the_table(starter: Any, terraform: dict[str, Any]) -> None:
    table = terraform["aws_dynamodb_table.journal"]
    indices = {
        index["name"]: (
            index["hash_key"], index["range_key"], index["projection_type"], tuple(index.get("non_key_attributes", ())),
        )
        for index in table["global_secondary_index"]
    }  # fmt: skip
    found = shown.Table(
        sorted((a["name"], a["type"]) for a in table["attribute"]), indices, table["ttl"][0]["attribute_name"]
    )
    assert found == shown.table_of(starter.properties("Journal"))
    assert (table["hash_key"], table["range_key"], table["billing_mode"]) == ("pk", "sk", "PAY_PER_REQUEST")


@pytest.mark.parametrize(("role", "function"), [("function", "Welcome"), ("sweeper", "Sweeper")])
def test_terraform_allows_what_the_starter_allows(
    starter: Any, terraform: dict[str, Any], role: str, function: str
) -> None:
    policy = terraform[f"aws_iam_role_policy.{role}"]["policy"]
    found = shown.actions([s for s in shown.statements(policy) if not set(s["Action"]) <= LOGS])
    assert {action: kinds for action, kinds in found.items() if action not in OF_THE_SOURCE} == of_starter(
        starter, function
    )


def test_terraform_wakes_as_the_starter_does(starter: Any, terraform: dict[str, Any]) -> None:
    function, queue = terraform["aws_lambda_function.function"], starter.properties("WelcomeQueue")
    assert terraform["aws_sqs_queue.wake"]["visibility_timeout_seconds"] == queue["VisibilityTimeout"]
    assert terraform["aws_sqs_queue.wake"]["visibility_timeout_seconds"] == 6 * function["timeout"]
    variables = starter.properties("Welcome")["Environment"]["Variables"]
    assert set(function["environment"][0]["variables"]) == {"DURABLE_FN_TABLE", *variables}
    assert terraform["aws_lambda_function_recursion_config.function"]["recursive_loop"] == "Allow"
    source = terraform["aws_lambda_event_source_mapping.wake"]
    assert source["function_response_types"] == ["ReportBatchItemFailures"]
    assert terraform["aws_lambda_function.sweeper"]["handler"] == starter.properties("Sweeper")["Handler"]


# -- CDK -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cdk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return shown.synthesised(tmp_path_factory.mktemp("cdk"))


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == kind}


@pytest.mark.skipif(not shown.CDK.exists(), reason="`make .venv-cdk/.installed` installs CDK")
def test_cdk_makes_what_the_starter_is(starter: Any, cdk: dict[str, Any]) -> None:
    (table,) = of_type(cdk, "AWS::DynamoDB::Table").values()
    assert shown.table_of(table) == shown.table_of(starter.properties("Journal"))
    functions = of_type(cdk, "AWS::Lambda::Function")
    (welcome,) = (f for f in functions.values() if f["Handler"] == "app.handler.handler")
    assert welcome["RecursiveLoop"] == "Allow"
    variables = starter.properties("Welcome")["Environment"]["Variables"]
    assert set(welcome["Environment"]["Variables"]) == {"DURABLE_FN_TABLE", *variables}
    (mapping,) = of_type(cdk, "AWS::Lambda::EventSourceMapping").values()
    assert (mapping["BatchSize"], mapping["FunctionResponseTypes"]) == (10, ["ReportBatchItemFailures"])
    waking = [queue for queue in of_type(cdk, "AWS::SQS::Queue").values() if "RedrivePolicy" in queue]
    assert [queue["VisibilityTimeout"] for queue in waking] == [starter.properties("WelcomeQueue")["VisibilityTimeout"]]
    for kind, function in (("Welcome", "Welcome"), ("Sweeper", "Sweeper")):
        (policy,) = (p for name, p in of_type(cdk, "AWS::IAM::Policy").items() if kind in name)
        found = shown.actions(policy["PolicyDocument"]["Statement"])
        of_cdk = OF_THE_SOURCE | {"sqs:ChangeMessageVisibility", "sqs:GetQueueUrl"}
        assert {a: kinds for a, kinds in found.items() if a not in of_cdk} == of_starter(starter, function)
