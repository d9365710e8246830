"""What docs/guide/migrating.md shows of other systems is theirs: it parses, and names what exists there."""

from __future__ import annotations

import ast
import json
import re

from tests.docs.test_guide import ROOT, blocks

PAGE = ROOT / "docs" / "guide" / "migrating.md"


def test_the_state_machine_is_whole() -> None:
    (text,) = blocks(PAGE, "json")
    machine = json.loads(text)
    states = machine["States"]
    named = {machine["StartAt"]}
    for state in states.values():
        named |= {state["Next"]} if "Next" in state else set()
        named |= {catch["Next"] for catch in state.get("Catch", ())}
        assert state["Type"] == "Fail" or ("Next" in state) != ("End" in state)
    assert named == set(states)


def test_programs_of_others_compile() -> None:
    found = re.findall(r'^```python title="([\w.]+)"\n(.*?)^```', PAGE.read_text(), re.S | re.M)
    assert [name for name, _ in found] == ["aws.py", "tasks.py"]
    for name, program in found:
        ast.parse(program, name)
