"""Every AWS call that the package makes is allowed by the template, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from durable_fn.testing.permissions import Permission
from handlers_demo.order_fulfilment import systems
from tests.template import policies
from tests.template.cloudformation import ROOT, TEMPLATE, Template, load
from tests.template.performances import FAMILIES, play
from tests.template.policies import Grant
from tests.template.stage import FUNCTIONS, staged

Pair = tuple[str, str]
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:"
# Done by Lambda with the function's role: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html and
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html. Receiving and deleting messages is played.
BY_LAMBDA = {"sqs:GetQueueAttributes", "logs:CreateLogStream", "logs:PutLogEvents"}


@pytest.fixture(scope="module")
def performed(tmp_path_factory: pytest.TempPathFactory) -> set[Permission]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(systems.DIRECTORY_VARIABLE, str(tmp_path_factory.mktemp("systems")))
        return play()


def by_function(performed: set[Permission], function: str) -> set[Pair]:
    """What durable functions did, as if this one of the template had done all of it. Messages to other functions' queues
    are left out."""
    found = set()
    for caller, action, resource in performed:
        if caller in ("client", "sweeper", "scheduler", "callback-api", "web-dashboard"):
            continue
        if resource.startswith(QUEUE):
            if resource.removeprefix(QUEUE) != caller.replace("_", "-"):
                assert related(caller, resource), f"{caller} has no business with {resource}"
                continue
            resource = f"{QUEUE}{function}Queue"
        found.add((action, resource))
    return found


def related(caller: str, resource: str) -> bool:
    """Whether the queue is of a function that it calls or that calls it."""
    queue = resource.removeprefix(QUEUE)
    return any(caller in family and queue in {name.replace("_", "-") for name in family} for family in FAMILIES)


def by(performed: set[Permission], caller: str) -> set[Pair]:
    """What one of the stack's own parts did. It has to do with every function's queue."""
    found = set()
    for who, action, resource in performed:
        if who == caller:
            queues = [f"{QUEUE}{function}Queue" for function in FUNCTIONS]
            found |= {(action, name) for name in (queues if resource.startswith(QUEUE) else [resource])}
    return found


def hold(granted: list[Grant], needed: set[Pair], unplayed: Iterable[str] = ()) -> None:
    """The grants are what is needed, no less and no more."""
    assert needed
    missing = {pair for pair in needed if not any(grant.covers(*pair) for grant in granted)}
    assert not missing, f"not allowed: {sorted(missing)}"
    unused = {g for g in granted if g.action not in unplayed and not any(g.covers(*pair) for pair in needed)}
    assert not unused, f"allowed and never needed: {sorted(unused, key=str)}"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_durable_function_may_do_what_it_does(performed: set[Permission], function: str) -> None:
    granted = policies.of_role(staged(), f"{function}Role")
    hold(granted, by_function(performed, function), BY_LAMBDA)


def test_the_sweeper_may_do_what_it_does(performed: set[Permission]) -> None:
    hold(policies.of_role(staged(), "SweeperRole"), by(performed, "sweeper"), BY_LAMBDA)


def test_the_callback_api_may_do_what_it_does(performed: set[Permission]) -> None:
    hold(policies.of_role(staged(), "CallbacksRole"), by(performed, "callback-api"), BY_LAMBDA)


def test_the_dashboard_may_look_and_no_more(performed: set[Permission]) -> None:
    hold(policies.of_role(with_mode("read-only"), "WebDashboardRole"), by(performed, "web-dashboard"), BY_LAMBDA)


def with_mode(mode: str) -> Template:
    text = TEMPLATE.read_text()
    head, parameter, tail = text.partition("  WebDashboardMode:\n    Type: String\n    Default: ")
    assert parameter
    return staged(f'{head}{parameter}"{mode}"{tail.removeprefix(chr(34) + "none" + chr(34))}')


def test_the_dashboard_may_steer_where_that_is_said() -> None:
    more = set(policies.of_role(with_mode("changes"), "WebDashboardRole")) - set(
        policies.of_role(with_mode("read-only"), "WebDashboardRole")
    )
    assert more == set(policies.of_managed(staged(), "ClientAccess")) - set(
        policies.of_role(with_mode("read-only"), "WebDashboardRole")
    )
    for mode, changes in (("read-only", "off"), ("changes", "on")):
        given = with_mode(mode).properties("WebDashboard")["Environment"]["Variables"]
        assert given["DURABLE_FN_UI_CHANGES"] == changes


def test_there_is_no_dashboard_unless_it_is_wanted_and_none_without_iam() -> None:
    template = staged()
    own = {name: r for name, r in template.resources.items() if name.startswith("WebDashboard")}
    assert {r["Condition"] for r in own.values()} == {"HasWebDashboard"}
    assert [with_mode(mode).condition("HasWebDashboard") for mode in ("none", "read-only", "changes")] == [
        False,
        True,
        True,
    ]
    assert template.properties("WebDashboard")["FunctionUrlConfig"] == {"AuthType": "AWS_IAM"}
    statements = template.properties("WebDashboardAccess")["PolicyDocument"]["Statement"]
    assert {s["Action"]: s["Condition"] for s in statements} == {
        "lambda:InvokeFunctionUrl": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
        "lambda:InvokeFunction": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
    }
    assert {s["Resource"] for s in statements} == {template._att("WebDashboard", "AWS::Serverless::Function", "Arn")}


def test_the_scheduler_may_do_what_it_does(performed: set[Permission]) -> None:
    hold(policies.of_role(staged(), "SchedulerRole"), by(performed, "scheduler"))


def test_a_client_may_do_what_it_does(performed: set[Permission]) -> None:
    hold(policies.of_managed(staged(), "ClientAccess"), by(performed, "client"))


def test_the_key_is_for_who_checks_tokens_or_inputs_and_for_nobody_else() -> None:
    """Sealed secrets prove nothing without it; the sweeper and the scheduler prove nothing."""
    text = TEMPLATE.read_text()
    head, parameter, tail = text.partition("  KmsKeyArn:\n    Type: String\n    Default: ")
    assert parameter
    template = staged(f"{head}{parameter}the-key{tail.removeprefix(chr(34) * 2)}")
    rights = {("kms:Decrypt", "the-key"), ("kms:GenerateDataKey", "the-key")}
    for name in (*FUNCTIONS, "Callbacks", "Sweeper", "Scheduler"):
        given = {
            (g.action, g.resource) for g in policies.of_role(template, f"{name}Role") if g.action.startswith("kms:")
        }
        assert given == (set() if name in ("Sweeper", "Scheduler") else rights), name
    assert rights <= {(g.action, g.resource) for g in policies.of_managed(template, "ClientAccess")}
    looks = {(g.action, g.resource) for g in policies.of_role(template, "WebDashboardRole")}
    assert rights & looks == {("kms:Decrypt", "the-key")}
    for name, properties in template.of_type("AWS::Serverless::Function").items():
        variables = properties.get("Environment", {}).get("Variables", {})
        assert variables.get("DURABLE_FN_KMS_KEY") == (None if name == "Sweeper" else "the-key"), name


def test_no_role_is_left_out() -> None:
    roles = {name for name, r in staged().resources.items() if r["Type"] == "AWS::IAM::Role"}
    assert roles == {f"{name}Role" for name in (*FUNCTIONS, "Sweeper", "Callbacks", "Scheduler", "WebDashboard")}
    managed = {name for name, r in staged().resources.items() if r["Type"] == "AWS::IAM::ManagedPolicy"}
    # what a doctor needs: tests/cli/test_aws.py
    assert managed == {"JournalAccess", "ClientAccess", "DoctorAccess", "WebDashboardAccess"}
    for name, resource in staged().resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            assert resource["Properties"]["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
            assert "Policies" not in resource["Properties"]


def test_every_role_is_for_one_service() -> None:
    for name, properties in staged().of_type("AWS::IAM::Role").items():
        service = "scheduler" if name == "SchedulerRole" else "lambda"
        (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert (trust["Principal"], trust["Action"]) == ({"Service": f"{service}.amazonaws.com"}, "sts:AssumeRole")


def test_nothing_is_allowed_on_everything() -> None:
    template = staged()
    granted = [g for name in template.of_type("AWS::IAM::Role") for g in policies.of_role(template, name)]
    granted += policies.of_managed(template, "ClientAccess")
    assert {g.resource for g in granted if "*" in g.resource} == {
        "arn:aws:s3:::durable-fn-values/durable-fn/*",
        "arn:aws:scheduler:eu-central-1:123456789012:schedule/durable-fn/*",
    }
    assert not [g for g in granted if "*" in g.action]


def test_functions_that_call_each_other_need_what_the_page_says(performed: set[Permission]) -> None:
    """The caller starts the callee by a message; the callee's end wakes the caller by one."""
    (snippet,) = [code for code in code_blocks(ROOT / "docs" / "add-to-a-stack.md") if "the functions it calls" in code]
    statement = load(snippet)[0]
    assert statement["Action"] == "sqs:SendMessage"
    between = {
        (caller, action, resource.removeprefix(QUEUE))
        for caller, action, resource in performed
        if resource.startswith(QUEUE) and related(caller, resource)
    }
    to_others = {row for row in between if row[0].replace("_", "-") != row[2]}
    assert {action for _, action, _ in to_others} == {"sqs:SendMessage"}
    assert {("calls", "helper"), ("helper", "calls")} <= {(caller, queue) for caller, _, queue in to_others}


def code_blocks(page: Path) -> list[str]:
    blocks = page.read_text().split("```yaml\n")[1:]
    return [block.partition("```")[0] for block in blocks]


@pytest.mark.parametrize(
    ("needed", "complaint"),
    [
        ({("a:Do", "x")}, None),
        ({("a:Do", "y")}, "not allowed"),
        ({("a:Do", "x"), ("b:Do", "x")}, "not allowed"),
        ({("a:Else", "x")}, "not allowed"),
    ],
)
def test_the_judge(needed: set[Pair], complaint: str | None) -> None:
    granted = policies.grants([{"Statement": [{"Effect": "Allow", "Action": ["a:Do"], "Resource": "x"}]}])
    if complaint is None:
        hold(granted, needed)
        with pytest.raises(AssertionError, match="never needed"):
            hold([*granted, Grant("", "a:Other", "x")], needed)
    else:
        with pytest.raises(AssertionError, match=complaint):
            hold(granted, needed)
