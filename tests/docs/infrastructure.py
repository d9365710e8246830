"""What the page about deploying shows for CDK and Terraform, as data: the table's shape, and who may do what."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import hcl2

from tests.template.cloudformation import ROOT

PAGE = ROOT / "docs" / "guide" / "deploying.md"
CDK = Path(os.environ.get("DURABLE_FN_CDK", ROOT / ".venv-cdk")) / "bin" / "python"


class Table(NamedTuple):
    """Keys with their types; indices with their keys and what they project."""

    keys: list[tuple[str, str]]
    indices: dict[str, tuple[str, str, str, tuple[str, ...]]]
    ttl: str


def titled(name: str) -> str:
    """The block with this title."""
    found = re.search(rf'^```python title="{re.escape(name)}"\n(.*?)^```', PAGE.read_text(), re.S | re.M)
    assert found, name
    return found[1]


def terraform() -> str:
    found = re.search(r"^```hcl\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    assert found
    return found[1]


# -- CloudFormation, which is what CDK makes ---------------------------------------------------------------------------


def synthesised(folder: Path) -> dict[str, Any]:
    """The template that the page's app makes."""
    assert CDK.exists(), f"{CDK} is missing: run `make .venv-cdk/.installed`, or set DURABLE_FN_CDK"
    (folder / "package").mkdir()
    (folder / "package" / "app.txt").write_text("a package")
    for name in ("durable_journal.py", "app.py"):
        (folder / name).write_text(titled(name))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "CDK_OUTDIR": str(folder / "out")}
    environment |= {"JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1", "JSII_RUNTIME_PACKAGE_CACHE": "disabled"}
    run = subprocess.run([str(CDK), "app.py"], capture_output=True, text=True, cwd=folder, env=environment, timeout=100)
    assert run.returncode == 0, run.stderr
    template: dict[str, Any] = json.loads((folder / "out" / "Shop.template.json").read_text())
    return template


def table_of(properties: dict[str, Any]) -> Table:
    """Of an AWS::DynamoDB::Table."""
    kinds = {a["AttributeName"]: a["AttributeType"] for a in properties["AttributeDefinitions"]}
    indices = {
        index["IndexName"]: (
            *(key["AttributeName"] for key in index["KeySchema"]),
            index["Projection"]["ProjectionType"],
            tuple(index["Projection"].get("NonKeyAttributes", ())),
        )
        for index in properties["GlobalSecondaryIndexes"]
    }
    names = [key["AttributeName"] for key in properties["KeySchema"]]
    for index in indices.values():
        names += [name for name in index[:2] if name not in names]
    return Table(
        sorted((name, kinds[name]) for name in names), indices, properties["TimeToLiveSpecification"]["AttributeName"]
    )


def actions(statements: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What each allowed action is for: the kinds of the resources, in order."""
    found: dict[str, list[str]] = {}
    for statement in statements:
        assert statement["Effect"] == "Allow", statement
        for action in _listed(statement["Action"]):
            for resource in _listed(statement["Resource"]):
                found.setdefault(action, []).append(kind_of(resource))
    return {action: sorted(set(kinds)) for action, kinds in found.items()}


def kind_of(resource: Any) -> str:
    """What a resource is, by what its address says."""
    text = json.dumps(resource)
    words = {
        "index/due": "due index",
        "schedule/": "schedules",
        "Scheduler": "role",
        "aws_iam_role.scheduler": "role",
        "Journal": "table",
        "aws_dynamodb_table": "table",
        "Queue": "queue",
        "Wake": "queue",
        "aws_sqs_queue.wake": "queue",
    }
    return next(kind for word, kind in words.items() if word in text)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# -- Terraform -----------------------------------------------------------------------------------------------------


def resources() -> dict[str, dict[str, Any]]:
    """By kind and name, as the parser reads them."""
    found: dict[str, dict[str, Any]] = {}
    for block in plain(hcl2.loads(terraform()))["resource"]:
        for kind, named in block.items():
            for name, body in named.items():
                found[f"{kind}.{name}"] = body
    return found


def plain(value: Any) -> Any:
    """Without the marks that the parser leaves: quotes, and names that begin with two underscores."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if not str(key).startswith("__")}
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def statements(policy: str) -> list[dict[str, Any]]:
    """Of a policy in jsonencode(...): an expression, of which actions and resources are read."""
    found = []
    for effect in re.finditer(r'Effect\s*[=:]\s*"(\w+)"', policy):
        rest = policy[effect.end() :].partition("Effect")[0]
        named = re.search(r'Action\s*[=:]\s*(\[.*?\]|"[^"]*")', rest, re.S)
        resource = re.search(r"Resource\s*[=:]\s*(.*)", rest, re.S)
        assert named, rest
        assert resource, rest
        found.append({"Effect": effect[1], "Action": re.findall(r'"([\w:*]+)"', named[1]), "Resource": resource[1]})
    return found
