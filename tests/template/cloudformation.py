"""Reads a SAM template: YAML with CloudFormation's tags, and its intrinsic functions filled in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"


class _Loader(yaml.SafeLoader):
    """`!Ref x` becomes {"Ref": "x"}, `!GetAtt a.b` {"Fn::GetAtt": ["a", "b"]}, every other tag {"Fn::Tag": value}."""


def _tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tag)  # type: ignore[no-untyped-call]


def load(text: str) -> Any:
    return yaml.load(text, _Loader)


class Template:
    """`ref` and `att` say what a reference to a resource stands for; parameters have their defaults."""

    def __init__(
        self, text: str, ref: Callable[[str, str], str], att: Callable[[str, str, str], str], pseudo: Mapping[str, str]
    ) -> None:
        self.raw: dict[str, Any] = load(text)
        self.resources: dict[str, dict[str, Any]] = self.raw["Resources"]
        self._parameters = {name: p.get("Default") for name, p in self.raw.get("Parameters", {}).items()}
        self._ref, self._att, self._pseudo = ref, att, pseudo

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Logical id to properties, filled in."""
        return {name: self.properties(name) for name, r in self.resources.items() if r["Type"] == kind}

    def properties(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.resolve(self.resources[name].get("Properties", {}))
        return found

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for one in value if (item := self.resolve(one)) is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, inner), *_ = value.items()
            if key == "Ref":
                return self.ref(inner)
            if key == "Fn::GetAtt":
                return self._att(inner[0], self.resources[inner[0]]["Type"], inner[1])
            if key == "Fn::Sub":
                return re.sub(r"\$\{([^}!]+)\}", lambda m: str(self._sub(m[1])), inner)
            if key == "Fn::If":
                return self.resolve(inner[1 if self.condition(inner[0]) else 2])
        return {key: item for key, one in value.items() if (item := self.resolve(one)) is not None}

    def condition(self, name: str) -> bool:
        return self._truth(self.raw["Conditions"][name])

    def _truth(self, value: dict[str, Any]) -> bool:
        if "Fn::Not" in value:
            return not self._truth(value["Fn::Not"][0])
        one, other = (self.resolve(v) for v in value["Fn::Equals"])
        return bool(one == other)

    def ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return None
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self._parameters:
            return self._parameters[name]
        return self._ref(name, self.resources[name]["Type"])

    def _sub(self, name: str) -> Any:
        return self._att(*self._split(name)) if "." in name and not name.startswith("AWS::") else self.ref(name)

    def _split(self, name: str) -> tuple[str, str, str]:
        resource, _, attribute = name.partition(".")
        return resource, self.resources[resource]["Type"], attribute
