"""`durable-fn check`: each line of a handler that is marked is found, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from durable_fn.cli.nondeterminism import RULES, findings

from .shop import run

HEAD = """
import os, random, time, uuid, secrets, datetime as dt, threading, subprocess, glob
import urllib.request, socket
from datetime import datetime, date
from os import environ, getenv as env
import boto3, requests, httpx
import durable_fn as d
from durable_fn import durable, step as a_step, RetryPolicy

TABLE = os.environ["TABLE"]  # once, where the module is loaded
"""
PROGRAMS = {
    "clocks": """
@durable
def handler(event, ctx):
    time.time()  # clock
    datetime.now(), date.today()  # clock
    dt.datetime.utcnow()  # clock
    time.sleep(1)  # clock
    ctx.now(), ctx.sleep(1), time.strptime("1", "%d")
""",
    "draws": """
@durable(name="x")
async def handler(event, ctx):
    random.random(), random.choice([1])  # random
    secrets.token_hex()  # random
    os.urandom(4)  # random
    uuid.uuid4()  # uuid
    uuid.UUID("x"), await ctx.uuid4()
""",
    "the outside": """
@d.durable()
def handler(event, ctx):
    requests.get("x")  # network
    httpx.Client()  # network
    boto3.client("s3")  # network
    urllib.request.urlopen("x")  # network
    with open("x") as file:  # file
        glob.glob("*")  # file
    subprocess.run([])  # process
    threading.Thread(target=print)  # thread
    hash("x")  # hash
    TABLE
""",
    "the environment": """
@durable
def handler(event, ctx):
    os.environ["X"]  # environment
    os.environ.get("X")  # environment
    environ["X"]  # environment
    env("X")  # environment
    os.path.join("a", "b")
""",
    "sets": """
@durable
def handler(event, ctx):
    names = {"a", "b"}
    for name in names:  # set
        pass
    for name in sorted(names): pass
    [n for n in set(event)]  # set
    {n for n in names}
    {n: 1 for n in frozenset(event)}  # set
    ctx.map(print, names)  # set
    ctx.map(print, list(names | {"c"}))  # set
    sum(n for n in names), len(names), max(names)
    [*names]  # set
    names = ["a"]
    for name in names: pass
    more: set = {1}
    for one in enumerate(more):  # set
        pass
""",
    "steps are recorded": """
@a_step(retry=RetryPolicy(max_attempts=1))
def fetch(url):
    return requests.get(url), time.time()

def plain():
    return random.random()

@durable
def handler(event, ctx):
    def body():
        return time.time()
    @a_step
    def decorated():
        return uuid.uuid4()
    async def submit(token):
        requests.post("x", token)
    ctx.step(fetch, "x")
    ctx.step(plain)
    ctx.step(body)
    ctx.step(decorated)
    ctx.step(lambda: os.environ["X"])
    ctx.step(a_step(lambda: time.time(), name="x"))
    ctx.poll(lambda: requests.get("x"), interval=1)
    ctx.wait_for_callback(submit, name="x")
    ctx.step(print, time.time())  # clock
""",
    "branches and helpers are the handler's own": """
def helper(ctx):
    deeper()
    return os.getenv("X")  # environment

def deeper():
    return time.time()  # clock

def unused():
    return time.time()

def branch(c, item):
    return random.random()  # random

@durable
def handler(event, ctx):
    def inner(c):
        return uuid.uuid1()  # uuid
    ctx.parallel([inner])
    ctx.map(branch, [1])
    ctx.child(lambda c: time.time())  # clock
    helper(ctx)
""",
    "what is ignored": """
@durable
def handler(event, ctx):
    time.time()  # durable-fn: ignore
    os.getenv("X")  # environment

def other(event, context):
    return time.time()
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_found(name: str) -> None:
    text = HEAD + PROGRAMS[name]
    wanted = {
        (number, marked[1])
        for number, line in enumerate(text.split("\n"), 1)
        if (marked := re.search(r"# ([a-z]+)$", line)) and marked[1] in {rule.kind for rule in RULES.values()} | {"set"}
    }
    found, handlers = findings(text, "x.py")
    assert handlers == 1
    assert {(finding.line, finding.kind) for finding in found} == wanted
    assert all(finding.fix and finding.why and finding.handler == "handler" for finding in found)


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "good.py").write_text(HEAD + "@durable\ndef fine(event, ctx): ...\n")
    for folder in (".venv", "node_modules", "site-packages"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.py").write_text("broken(")
    assert "0 findings in 1 handlers of 1 files" in run("check", str(tmp_path)).output
    bad = tmp_path / "app" / "bad.py"
    bad.write_text(HEAD + "@durable\ndef h(event, ctx):\n    time.time()\n")
    said = run("check", str(tmp_path), code=1).output
    assert f"{bad}:13:5: time.time in h: a replay reads another time" in said.replace("\n", " ").replace("  ", " ")
    assert "fix: use ctx.now(), which is recorded" in said
    told = json.loads(run("check", str(bad), "--json", code=1).stdout)
    assert (told["format"], told["handlers"]) == ("durable_fn.check", 1)
    assert [(row["line"], row["kind"], row["what"]) for row in told["findings"]] == [(13, "clock", "time.time")]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (\x1b[2J")
    said = run("check", str(tmp_path), code=1).output
    assert "cannot be read" in said
    assert "\x1b" not in said
    assert "there is no file or folder" in run("check", str(tmp_path / "nix"), code=1).output


def test_the_demos_are_clean() -> None:
    root = Path(__file__).resolve().parents[2]
    said = run("check", str(root / "handlers_demo")).output
    assert re.search(r"0 findings in [1-9]\d* handlers", said)
