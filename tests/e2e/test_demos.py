"""All demos by their own scripts: on a local cloud on virtual time, and in real processes that are killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_fn.testing.cloud import LocalCloud
from durable_fn.values.adapters import return_annotation
from durable_fn.wiring import using
from handlers_demo.audit_pipeline.evidence import verify
from handlers_demo.script import NAMES, Play, Script, load
from handlers_demo.systems import DIRECTORY_VARIABLE, effects
from tests.e2e.test_demo import cli

SCENES = [(name, scene) for name in NAMES for scene in load(name).scenes]
SMALLER: dict[str, dict[str, Any]] = {"audit_pipeline": {"records": 60, "max_concurrency": 8}}


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    with LocalCloud() as cloud:
        yield cloud


def play(cloud: LocalCloud, script: Script, scene_name: str) -> tuple[Any, str]:
    """The scene to its end. What comes from outside comes when its moment has come; else time passes."""
    scene = script.scene(scene_name)
    event, acts = script.event(scene, SMALLER.get(script.name)), Play(scene)
    cloud.attach(script.handler)
    scene.prepare()
    id = cloud.client.start(script.handler, event, id=script.id(event))
    for _ in range(100):
        if not cloud.run(id).live:
            return event, id
        act = acts.next(cloud.client.history(id))
        if act is None:
            cloud.advance(timedelta(hours=6))
        else:
            with using(cloud.backend):
                act.do(cloud.client, id)
    raise AssertionError(f"{id} is not finished: {cloud.client.describe(id)}")


@pytest.mark.parametrize(("name", "scene"), SCENES, ids=lambda text: text)
def test_on_a_local_cloud(name: str, scene: str, cloud: LocalCloud) -> None:
    script = load(name)
    event, id = play(cloud, script, scene)
    assert cloud.client.describe(id).status == script.scene(scene).status
    result = None
    if script.scene(scene).status == "SUCCEEDED":
        result = cloud.client.result(id, result_type=return_annotation(script.handler.__wrapped__))
    expected = script.scene(scene).effects(event, result)
    if expected is not None:
        assert effects(script.systems) == expected
    assert cloud.dead_letters(script.handler) == []
    assert cloud.deaths == []


def test_the_same_event_twice_is_one_execution(cloud: LocalCloud) -> None:
    for name in NAMES:
        script = load(name)
        event = script.event(script.scene(), SMALLER.get(name))
        cloud.attach(script.handler)
        first, second = (cloud.invoke(script.handler, event.model_dump(mode="json")) for _ in range(2))
        assert first["execution_id"] == second["execution_id"] == script.id(event)


# -- real processes ------------------------------------------------------------------------------------------------


def killed(name: str, *arguments: str) -> dict[str, Any]:
    run = cli("demo", name, "--speed", "20", "--json", *arguments)
    assert run.returncode == 0, run.stderr + run.stdout[-3000:]
    report: dict[str, Any] = json.loads(run.stdout)
    assert (report["ok"], report["status"]) == (True, "SUCCEEDED")
    assert len({worker["pid"] for worker in report["workers"]}) == len(report["workers"])
    return report


def rows(report: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return [row for row in report["timeline"] if row["what"] == what]


def test_onboarding_survives_sigkill() -> None:
    report = killed("customer_onboarding")
    assert [worker["killed"] for worker in report["workers"]] == [True, True, False]
    assert (report["result"]["status"], report["result"]["decided_by"]) == ("active", "linus@bank.example")
    assert [row["who"] for row in rows(report, "outside")] == ["mail scanner", "supervisor"]
    assert "open_account" in rows(report, "takes over")[-1]["replayed"]
    assert report["timeline"][-1]["clock"] > 3 * 86_400


def test_the_agent_survives_sigkill() -> None:
    report = killed("ai_agent")
    assert [worker["killed"] for worker in report["workers"]] == [True, True, False]
    assert report["result"]["status"] == "answered"
    assert "refund_payment" in rows(report, "takes over")[-1]["replayed"]
    assert [row["until"] for row in rows(report, "sleeps")] == [3.0]


def test_the_audit_survives_sigkill_and_leaves_evidence() -> None:
    report = killed("audit_pipeline", "--set", "records=400", "--keep")
    assert [worker["killed"] for worker in report["workers"]] == [True, False]
    assert (report["result"]["records"], report["result"]["verdict"]) == (400, "findings")
    assert len(rows(report, "done")) == 2, "records are counted, not listed"
    seal = verify(Path(report["directory"]) / "evidence.jsonl")
    shutil.rmtree(report["directory"])
    assert seal.head == report["notes"]["SHA-256"]


def test_the_list_names_every_scene() -> None:
    listed = json.loads(cli("demo", "--list", "--json").stdout)
    assert [(demo["name"], scene) for demo in listed for scene in demo["scenes"]] == SCENES
    shown = cli("demo", "--list").stdout
    assert all(name in shown and scene in shown for name, scene in SCENES)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nonsense"], "no demo 'nonsense'; there are order_fulfilment, customer_onboarding"),
        (["ai_agent", "--scene", "x"], "has no scene 'x'; it has approved, rejected"),
        (["ai_agent", "--fail-warehouse"], "has no scene 'warehouse-down'"),
        (["audit_pipeline", "--set", "record=5"], "has no record; it has audit_id, archive, records"),
        (["audit_pipeline", "--set", "records=0"], "greater than or equal to 1"),
        (["audit_pipeline", "--set", "records"], "--set takes KEY=VALUE"),
    ],
)
def test_what_people_get_wrong(arguments: list[str], why: str) -> None:
    run = cli("demo", *arguments)
    assert run.returncode == 1
    assert why in run.stderr.replace("\n", " ")
    assert "Traceback" not in run.stderr
