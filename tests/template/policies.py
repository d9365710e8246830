"""What a role may do: the part of IAM's evaluation that the template uses. An unknown element is an error, not a yes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.template.cloudformation import Template

CONTEXT = {"iam:PassedToService": "scheduler.amazonaws.com"}  # who is handed a role, in all that the package does


@dataclass(frozen=True)
class Grant:
    """One action on one resource pattern."""

    sid: str
    action: str
    resource: str

    def covers(self, action: str, resource: str) -> bool:
        return _like(self.action.lower(), action.lower()) and _like(self.resource, resource)


def _like(pattern: str, text: str) -> bool:
    regex = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(regex, text) is not None


def grants(documents: list[dict[str, Any]]) -> list[Grant]:
    found = []
    for document in documents:
        for statement in document["Statement"]:
            unknown = set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"}
            assert not unknown, f"the evaluator does not know {unknown}"
            assert statement["Effect"] == "Allow"
            if _holds(statement.get("Condition", {})):
                pairs = ((a, r) for a in _listed(statement["Action"]) for r in _listed(statement["Resource"]))
                found += [Grant(statement.get("Sid", ""), *pair) for pair in pairs]
    return found


def _holds(condition: dict[str, dict[str, str]]) -> bool:
    assert set(condition) <= {"StringEquals"}, f"the evaluator does not know {condition}"
    return all(CONTEXT[key] == value for key, value in condition.get("StringEquals", {}).items())


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def of_role(template: Template, role: str) -> list[Grant]:
    """By its inline policies and the template's managed ones."""
    return grants(list(_documents(template, role)))


def of_managed(template: Template, policy: str) -> list[Grant]:
    return grants([template.properties(policy)["PolicyDocument"]])


def _documents(template: Template, role: str) -> Iterator[dict[str, Any]]:
    properties = template.properties(role)
    yield from (policy["PolicyDocument"] for policy in properties.get("Policies", []))
    raw = template.resources[role]["Properties"].get("ManagedPolicyArns", [])
    if isinstance(raw, dict):  # by a condition
        name, there, _ = raw["Fn::If"]
        raw = there if template.condition(name) else []
    for managed in raw:
        yield template.properties(managed["Ref"])["PolicyDocument"]
