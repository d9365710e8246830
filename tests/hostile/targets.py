"""What is attacked, and what must hold: only documented errors, with a text; no other execution changes; no secret is told."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from typing import Any

from durable_fn import AsyncDurableContext, DurableClient, DurableContext, callback_api, durable
from durable_fn.errors import DurableError
from durable_fn.log.wake import Wake
from durable_fn.runtime.session import Outage
from durable_fn.testing import LocalRunner
from durable_fn.wiring import using
from tests.hostile.mutator import Mutator
from tests.torture.emulator.cloud import MemoryCloud
from tests.triggers.samples import EVENTS, sample
from tests.triggers.test_hostile import functions

SECRET = "hunter2-of-the-victim"
SAMPLES = [sample(path.stem) for path in sorted(EVENTS.glob("*.json"))]
TOKENS: list[str] = []


class Wrong(AssertionError):
    """What must not happen, happened."""


@durable(name="victim")
def victim(event: str, ctx: DurableContext) -> str:
    """Has a secret in its log, waits for an answer, and says so."""
    secret = ctx.step(str, SECRET)
    ctx.set_status("waits")
    ctx.wait_for_callback(TOKENS.append, name="answer")
    ctx.sleep(1000)
    return secret


@durable(name="victim")
async def a_victim(event: str, ctx: AsyncDurableContext) -> str:
    secret = await ctx.step(str, SECRET)
    await ctx.wait_for_callback(TOKENS.append, name="answer")
    await ctx.sleep(1000)
    return secret


class Listener(logging.Handler):
    """All that is logged. Its levels are as an operator has them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


class Target:
    """`attack` takes one blow. `fresh` begins anew, after so many blows of one world."""

    lifetime = 200

    def __init__(self) -> None:
        self.listener = Listener()
        self.secrets: list[str] = [SECRET]
        self.said: list[str] = []

    def attack(self, mutator: Mutator) -> None:
        raise NotImplementedError

    def open(self) -> None:
        """A world."""

    def close(self) -> None:
        """It is checked for what must not have changed."""

    def documented(self, act: Callable[[], object]) -> Any:
        """None where it was refused, with an error that says something."""
        try:
            return act()
        except (DurableError, ValueError, Outage) as error:
            if not str(error) or not (isinstance(error, DurableError | Outage) or type(error) is ValueError):
                raise
            self.said.append(str(error))
            return None

    def look(self) -> None:
        """At what was said meanwhile."""
        for text in (*self.said, *self.listener.texts):
            found = next((secret for secret in self.secrets if secret in text), None)
            if found is not None:
                raise Wrong(f"{found!r} was told: {text[:500]}")
        self.said.clear()
        self.listener.texts.clear()


class Events(Target):
    """Lambda events: AWS's own samples with parts of them broken, and any JSON."""

    def open(self) -> None:
        self.runners = [LocalRunner(function) for function in functions()]

    def attack(self, mutator: Mutator) -> None:
        runner = mutator.chance.choice(self.runners)
        event = mutator.json(mutator.chance.choice(SAMPLES)) if mutator.chance.random() < 0.9 else mutator.value(4)
        answer = self.documented(lambda: runner.invoke(event))
        if answer is not None:
            json.dumps(answer)

    def close(self) -> None:
        for runner in self.runners:
            runner.run_until_idle()
            runner.__exit__()


class OfVictims(Target):
    """Two executions wait: "v" and "v2". No blow may wake, answer, end or change them."""

    def open(self) -> None:
        TOKENS.clear()
        self.runner: LocalRunner[Any, Any] = LocalRunner(victim)
        for id in ("v", "v2"):
            self.runner.client.start(victim, "x", id=id)
        self.runner.run_until_idle()
        self.tokens = list(TOKENS)
        headers = [self.runner._journal.get(id) for id in ("v", "v2")]
        self.secrets = [SECRET, *(header.proof_secret for header in headers if header is not None), *self.tokens]
        self.before = self._state()

    def _state(self) -> list[Any]:
        found = []
        for id in ("v", "v2"):
            header = self.runner._journal.get(id)
            assert header is not None
            loaded = self.runner._journal.load(header.key)
            assert loaded is not None
            found.append((header.status, header.n, header.due, header.gen, len(loaded.segments), sorted(loaded.inbox)))
        return found

    def close(self) -> None:
        if self._state() != self.before:
            raise Wrong(f"a victim was changed: {self.before} became {self._state()}")
        self.runner.complete_callback(self.tokens[0], "yes")
        self.runner.advance(2000)
        if self.runner.client.describe("v").status != "SUCCEEDED":
            raise Wrong("the victim does not go on any more")
        self.runner.__exit__()


class Wakes(OfVictims):
    """Messages in a queue: wake messages of both, with parts broken, or of others. One makes the table be looked at, no more."""

    def attack(self, mutator: Mutator) -> None:
        header = self.runner._journal.get(mutator.chance.choice(("v", "v2")))
        assert header is not None
        hint = json.loads(Wake(header.id, header.run, "victim", header.due or 0).body())
        if mutator.chance.random() < 0.5:
            body: Any = mutator.text(json.dumps(hint, separators=(",", ":")))
        else:
            body = json.dumps(mutator.json(hint), separators=(",", ":"))
        event = sample("sqs")
        event["Records"][0] |= {"body": body, "messageId": f"m-{mutator.chance.random()}"}
        self.documented(lambda: self.runner.invoke(event))


class Answers(OfVictims):
    """Tokens that are near to those of both, with any payload."""

    def attack(self, mutator: Mutator) -> None:
        token, client, chance = mutator.text(mutator.chance.choice(self.tokens)), self.runner.client, mutator.chance
        if chance.random() < 0.2:
            one, other = (base64.urlsafe_b64decode(token + "==") for token in self.tokens)
            at = chance.randrange(len(one))
            token = base64.urlsafe_b64encode(one[:at] + other[at:]).decode().rstrip("=")
        if token in self.tokens:
            return
        act = chance.choice((
            lambda: client.complete_callback(token, mutator.value()),
            lambda: client.fail_callback(token, mutator.text("no")),
            lambda: client.heartbeat_callback(token),
        ))  # fmt: skip
        self.documented(act)


class Ids(OfVictims):
    """Ids near to those of both: of starts, signals, cancellations and questions. What is really theirs is left out."""

    def attack(self, mutator: Mutator) -> None:
        client, chance = self.runner.client, mutator.chance
        id: Any = (
            mutator.text(chance.choice(("v", "v2", "v/answer~1", "L#v", "v\tH")))
            if chance.random() < 0.8
            else mutator.value(1)
        )
        if id in ("v", "v2"):
            return
        act = chance.choice((
            lambda: client.start(victim, "x", id=id),
            lambda: client.signal(id, mutator.text("answer"), mutator.value()),
            lambda: client.cancel(id, mutator.text("why")),
            lambda: client.describe(id),
            lambda: client.history(id),
            lambda: client.terminate(id),
            lambda: client.purge(id),
            lambda: client.redrive(id),
        ))  # fmt: skip
        try:
            self.documented(act)
        except TypeError as error:
            if isinstance(id, str) or not str(error):
                raise  # it says which type it wants


class Pages(OfVictims):
    """HTTP requests to the callback API."""

    def attack(self, mutator: Mutator) -> None:
        chance = mutator.chance
        token = mutator.text(chance.choice(self.tokens))
        if token in self.tokens:
            return
        path = f"/callbacks/{token}{chance.choice(('', '/fail', '/heartbeat', '/x'))}"
        event = sample(chance.choice(("apigateway-v1", "apigateway-v2", "function-url")))
        event |= {
            "path": path,
            "rawPath": path,
            "body": mutator.text('{"verdict":"yes"}'),
            "isBase64Encoded": chance.random() < 0.2,
        }
        event["pathParameters"] = {"token": token, "proxy": path}
        if "http" in event.get("requestContext", {}):
            event["requestContext"]["http"] |= {"path": path, "method": chance.choice(("GET", "POST", "PUT"))}
        event["httpMethod"] = chance.choice(("GET", "POST", "OPTIONS"))
        with using(self.runner.backend):
            reply = callback_api.handler(mutator.json(event) if chance.random() < 0.6 else event, None)
        text = json.dumps(reply)
        if not 200 <= reply["statusCode"] < 500 or "<script>" in text:
            raise Wrong(f"the callback API answers {text[:300]}")
        self.said.append(text)


class Items(Target):
    """One item of execution "x" in the table is another. It is held, or ends, with an error that tells no value; "y" beside it
    goes on as if nothing were."""

    lifetime = 1

    def open(self) -> None:
        self.cloud: Any = MemoryCloud(shards=2)
        self.cloud.__enter__()

    def attack(self, mutator: Mutator) -> None:
        cloud = self.cloud
        TOKENS.clear()
        function = mutator.chance.choice((victim, a_victim))
        cloud.attach(function)
        for id in ("x", "y"):
            cloud.client.start(function, "e", id=id)
        cloud.run_until_idle()
        self.secrets = [SECRET, *TOKENS]
        for token in TOKENS:
            cloud.client.complete_callback(token, "yes")
        partition = cloud.account.table.partitions["x"]
        sk = mutator.chance.choice(partition.keys)
        item = partition.items[sk]
        self.secrets.append(partition.items["H"]["secret"]["S"])
        partition.items[sk] = {**mutator.item(item), "pk": item["pk"], "sk": item["sk"]}
        cloud.account.table._index_later(("x", sk), partition.items[sk])
        cloud.advance(2400)
        self._check(cloud)

    def _check(self, cloud: Any) -> None:
        other = cloud.client.describe("y")
        if other.status != "SUCCEEDED" or cloud.client.result("y") != SECRET:
            raise Wrong(f"the execution beside it is {other.status}")
        strange = [death for death in cloud.deaths if not isinstance(death, DurableError | Outage)]
        if strange:
            raise strange[0]
        self._asked(DurableClient(cloud.backend))

    def _asked(self, client: DurableClient) -> None:
        for act in (client.describe, client.history, lambda id: list(client.list()), client.terminate):
            self.documented(lambda act=act: act("x"))

    def close(self) -> None:
        self.cloud.__exit__()


TARGETS: dict[str, type[Target]] = {
    "events": Events, "wakes": Wakes, "tokens": Answers, "ids": Ids, "HTTP": Pages, "items": Items,
}  # fmt: skip
