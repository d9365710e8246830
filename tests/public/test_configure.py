"""configure(): calls add up, a codec is used or refused, test runners have the same hooks and codec. Each in a process of its
own, because configuring is for a whole process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BEGINNING = """
import os
from durable_fn import *
from durable_fn.wiring import sqlite
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud
class Turned:
    def encode(self, data, context): return b"ENC" + data[::-1]
    def decode(self, data, context): return data[3:][::-1]
told = []
class Told(Hooks):
    def recorded(self, id, event): told.append(event.id)
@durable
def handler(event, ctx): return ctx.step(lambda: "SECRETVALUE")
def leaks(): return any(b"SECRETVALUE" in open(f, "rb").read() for f in os.listdir() if f.startswith("j.db"))
"""


def said(code: str, folder: Path) -> str:
    environment = {**os.environ, "DURABLE_FN_BACKEND": "sqlite:///j.db", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + code],
        env=environment,
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "configured",
    [
        "configure(codec=Turned())",
        "configure(backend=sqlite('j.db'), codec=Turned())",
        "configure(codec=Turned()); configure(hooks=(Told(),))",
        "configure(codec=Turned()); configure(backend=sqlite('j.db'), hooks=[Told()])",
        "configure(backend=sqlite('j.db')); configure(codec=Turned())",
    ],
)
def test_a_codec_is_never_dropped(configured: str, tmp_path: Path) -> None:
    code = f"{configured}\nprint(handler({{}}, None)['result'], leaks(), told)"
    expected = "['lambda']" if "Told" in configured else "[]"
    assert said(code, tmp_path) == f"SECRETVALUE False {expected}"


def test_without_a_codec_the_value_is_there(tmp_path: Path) -> None:
    """So that the test above can fail."""
    assert said("print(handler({}, None)['result'], leaks())", tmp_path) == "SECRETVALUE True"


def test_a_backend_that_cannot_use_the_codec_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    code = """
from durable_fn.backends.ports import Backend
whole = sqlite("j.db")
bare = Backend(whole.store.store, whole.wakeups, whole.clock, "sqlite")
configure(codec=Turned())
try:
    configure(backend=bare, hooks=(Told(),))
except TypeError as error:
    print(error)
print(handler({}, None)["result"], leaks(), told)
"""
    first, second = said(code, tmp_path).splitlines()
    assert first.startswith("the codec cannot be used with this backend, whose store is a SQLiteStore; wrap")
    assert second == "SECRETVALUE False []"


def test_test_runners_use_the_hooks_and_the_codec(tmp_path: Path) -> None:
    code = """
configure(hooks=(Told(),), codec=Turned())
with LocalRunner(handler) as runner:
    execution = runner.run(None)
    (segment,) = runner._store.load(runner._header(execution.id).key).segments
    print(execution.result, "SECRETVALUE" in segment.body, told)
with LocalCloud() as cloud:
    cloud.attach(handler)
    cloud.client.start(handler, None, id="x")
    cloud.run("x")
    print(cloud.client.result("x"), "SECRETVALUE" in repr(list(cloud.store.table.partition("x"))), told)
"""
    assert said(code, tmp_path).splitlines() == [
        "SECRETVALUE False ['lambda']",
        "SECRETVALUE False ['lambda', 'lambda']",
    ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("codec=5", "codec must be an object with encode(data, context) and decode(data, context), not int"),
        ("codec=Turned", "not the class Turned"),
        ("hooks=5", "hooks must be a list or tuple of durable_fn.hooks.Hooks, got int"),
        ("hooks=Told()", "hooks must be a list or tuple of durable_fn.hooks.Hooks, got Told"),
        ("hooks=(Told,)", "got the class Told; subclass Hooks, and give objects"),
        ("backend=5", "backend must be a durable_fn Backend"),
    ],
)
def test_what_makes_no_sense(arguments: str, why: str, tmp_path: Path) -> None:
    assert why in said(f"configure({arguments})", tmp_path)
