"""With a codec nothing in the journal can be read, guessed or moved, and only who has the key can check a token or an input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from durable_fn import DurableClient, DurableContext, callback_api, durable, wiring
from durable_fn.backends.packed import PackedStore
from durable_fn.backends.packing import Place
from durable_fn.backends.sqlite import SQLiteStore
from durable_fn.codecs import AesGcm
from durable_fn.errors import CallbackError, ExecutionConflict, JournalDamaged
from durable_fn.log.inbox import entry, plain_digest, settled
from durable_fn.log.journal import Segment
from durable_fn.log.requests import Ending, Lease, ParentNotice, Renewal
from durable_fn.log.retention import Snapshot
from durable_fn.log.tokens import is_genuine, parse
from durable_fn.runtime.executions import digest
from durable_fn.sweeper import sweep
from durable_fn.testing.cloud import BUCKET, LocalCloud
from durable_fn.testing.moto_account import client as cloud_client
from durable_fn.wiring import using

from .contract import NOW, accepted, header
from .test_packed import Memory, noise

KEY = bytes(range(32))
TOKENS: list[str] = []


@pytest.fixture
def inner() -> Iterator[SQLiteStore]:
    store = SQLiteStore(":memory:")
    yield store
    store.close()


@pytest.fixture
def store(inner: SQLiteStore) -> PackedStore:
    return PackedStore(inner, AesGcm(KEY))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    monkeypatch.setattr(wiring, "_codec", AesGcm(KEY))
    TOKENS.clear()
    with LocalCloud(bucket=True) as cloud:
        yield cloud


def text_of(inner: SQLiteStore) -> str:
    return "".join(inner.database._db.iterdump())


def filled(store: PackedStore) -> Any:
    """An execution with two of everything."""
    accepted(store.create(header(due=NOW, input='"in"', secret="the secret")))
    owned = accepted(store.acquire("x", Lease("w", NOW, NOW + 1000)))
    for n in range(2):
        assert store.append(owned, Segment(n, "w", f"line {n}"))
        accepted(store.deliver(owned, entry(f"callback/1/{n}", "o", f"S{n}"), NOW))
    return owned


def swap(inner: SQLiteStore, table: str, one: str, other: str, column: str = "body") -> None:
    """Whoever may write the table puts each text in the other's place."""
    for text, where in [
        (inner.database._db.execute(f"SELECT {column} FROM {table} WHERE {a}").fetchone()[0], b)
        for a, b in ((one, other), (other, one))
    ]:
        inner.database._db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (text,))


@pytest.mark.parametrize(
    ("table", "one", "other"),
    [("segments", "seq = 0", "seq = 1"), ("inbox", "key = 'callback/1/0'", "key = 'callback/1/1'")],
)
def test_no_item_takes_another_ones_place(
    inner: SQLiteStore, store: PackedStore, table: str, one: str, other: str
) -> None:
    owned = filled(store)
    swap(inner, table, one, other)
    with pytest.raises(JournalDamaged, match="moved from another place"):
        store.load(owned.key)


def test_no_field_of_the_header_takes_another_ones_place(inner: SQLiteStore, store: PackedStore) -> None:
    owned = filled(store)
    accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW, '"in"')))
    inner.database._db.execute("UPDATE executions SET input = result")
    with pytest.raises(JournalDamaged, match=r"its input cannot be unpacked: .*moved from another place"):
        store.get("x")


def test_nothing_of_an_earlier_start_takes_the_place_of_this_ones(inner: SQLiteStore, store: PackedStore) -> None:
    filled(store)
    (old,) = inner.database._db.execute("SELECT input FROM executions").fetchone()
    inner.database._db.execute("DELETE FROM executions")
    accepted(store.create(header(input='"in"', run="r2")))
    inner.database._db.execute("UPDATE executions SET input = ?", (old,))
    with pytest.raises(JournalDamaged, match="its input cannot be unpacked"):
        store.get("x")


def test_a_generation_has_an_input_and_a_log_of_its_own(inner: SQLiteStore, store: PackedStore) -> None:
    owned = filled(store)
    (old,) = inner.database._db.execute("SELECT input FROM executions").fetchone()
    next = accepted(store.renew(owned, "w", Renewal("2", Segment(0, "w", "new"), (), (), 2, NOW, None, 77)))
    loaded = store.load(next.key)
    assert loaded is not None
    assert (loaded.header.input, loaded.segments) == ("2", [Segment(0, "w", "new")])
    inner.database._db.execute("UPDATE executions SET input = ?", (old,))
    with pytest.raises(JournalDamaged, match="its input cannot be unpacked"):
        store.get("x")


def test_a_note_is_read_by_who_waits_and_by_nobody_else(inner: SQLiteStore, store: PackedStore) -> None:
    filled(store)
    accepted(store.create(header("y", due=NOW)))
    child = accepted(store.acquire("y", Lease("c", NOW, NOW + 99)))
    parent = store.get("x")
    assert parent is not None
    told = entry("call/1/y", "c", "S1")
    accepted(store.complete(child, "c", Ending("SUCCEEDED", NOW, "1"), ParentNotice(parent.key, "f", told, NOW)))
    assert store.entry(parent.key, "call/1/y") == told
    assert told.digest not in text_of(inner)


def test_the_secret_is_sealed_and_proves_nothing_so(inner: SQLiteStore, store: PackedStore) -> None:
    filled(store)
    assert "the secret" not in text_of(inner)
    head = store.head("x")
    assert head is not None
    assert store.unsealed(head).proof_secret == "the secret"
    with pytest.raises(JournalDamaged, match="it was stored through a codec; configure the same one here"):
        _ = head.proof_secret
    inner.database._db.execute("UPDATE executions SET secret = input")
    with pytest.raises(JournalDamaged, match="its secret cannot be unpacked"):
        store.unsealed(replace(head, secret=inner.get("x").secret))  # type: ignore[union-attr]


def test_digests_tell_nothing_to_who_guesses(inner: SQLiteStore, store: PackedStore) -> None:
    owned = filled(store)
    answer = settled("callback/1/a", "o", '"yes"', NOW)
    answer = answer._replace(body=f'S{NOW}\t"yes"', digest=entry("", "", 'S"yes"').digest)
    accepted(store.deliver(owned, answer, NOW))
    assert answer.digest not in text_of(inner)
    assert store.entry(owned.key, "callback/1/a") == answer, "it comes back for who has the key"
    accepted(store.deliver(owned, answer._replace(writer="p"), NOW))  # the same content is known again
    assert plain_digest(answer) == answer.digest


def test_the_digest_of_an_input_needs_the_secret(cloud: LocalCloud) -> None:
    @durable(name="rests")
    def rests(event: Any, ctx: DurableContext) -> None:
        ctx.sleep(3600)

    cloud.attach(rests)
    for id in ("x", "y"):
        cloud.client.start(rests, {"a": 1, "b": 2}, id=id)
    stored = [cloud.store.head(id) for id in ("x", "y")]
    hashes = [there.input_hash for there in stored if there is not None]
    assert digest('{"b":2,"a":1}') not in hashes
    assert len(set(hashes)) == 2, "equal inputs look different"
    assert cloud.client.start(rests, {"b": 2, "a": 1}, id="x") == "x"
    with pytest.raises(ExecutionConflict, match="another payload"):
        cloud.client.start(rests, {"a": 2}, id="x")
    keyless = DurableClient(replace(cloud.backend, store=PackedStore(cloud.store)))  # type: ignore[arg-type]
    with pytest.raises(JournalDamaged, match="configure the same one here"):
        keyless.start(rests, {"a": 1, "b": 2}, id="x")


# -- codecs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, 27])
def test_what_is_too_short_is_called_so(size: int) -> None:
    with pytest.raises(ValueError, match=rf"execution 'x' \(log/1/0\) was cut off.*: it has {size} bytes.*one has 28"):
        AesGcm(KEY).decode(bytes(size), Place("x", "r", "log/1/0").context)


def test_a_codec_is_told_the_place(inner: SQLiteStore) -> None:
    told = []

    class Telling:
        def encode(self, data: bytes, context: str, /) -> bytes:
            told.append(context)
            return data

        def decode(self, data: bytes, context: str, /) -> bytes:
            assert context in told
            return data

    store = PackedStore(inner, Telling())
    owned = filled(store)
    accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW, "1", custom="at work")))
    assert store.load(owned.key) is not None
    places = [context.split("\n") for context in told]
    assert {tuple(place[:2]) for place in places} == {("x", "r1")}
    assert [place[2] for place in places] == [
        "secret", "input/1", "log/1/0", "inbox/callback/1/0", "log/1/1", "inbox/callback/1/1", "result/1", "custom",
    ]  # fmt: skip


# -- whole executions ----------------------------------------------------------------------------------------------


@durable(name="asks", retention=timedelta(days=1))
def asks(event: Any, ctx: DurableContext) -> Any:
    first = ctx.step(lambda: "first")
    answer = ctx.wait_for_callback(TOKENS.append, name="c")
    return [event, first, answer, ctx.wait_for_signal("go")]


def test_a_fork_is_encoded_anew(cloud: LocalCloud) -> None:
    cloud.attach(asks)
    cloud.client.start(asks, 1, id="x")
    cloud.run_until_idle()
    cloud.client.complete_callback(TOKENS[0], "yes")
    cloud.client.signal("x", "go", "now")
    cloud.run_until_idle()
    assert cloud.client.fork("x", from_step="go", new_id="y") == "y"
    cloud.run_until_idle()
    assert cloud.client.result("y") == [1, "first", "yes", "now"]


def test_what_lies_in_blobs_is_put_there_again_under_its_name(inner: SQLiteStore) -> None:
    """A bucket's lifecycle rule counts from the last time that an object was put."""
    put: list[str] = []

    class Noting(Memory):
        def put(self, key: str, data: bytes) -> None:
            put.append(key)
            super().put(key, data)

    store = PackedStore(inner, AesGcm(KEY), Noting())
    accepted(store.create(header(due=NOW, input=noise(600_000))))
    owned = accepted(store.acquire("x", Lease("w", NOW, NOW + 1000)))
    sent = entry("signal/1", "o", noise(500_000))
    accepted(store.deliver(owned, sent, NOW))
    before = put.copy()
    store.keep(owned, Snapshot("e", 0, 99), [], [sent])
    assert len(before) == 2
    assert put[2:] == before


def blobs_of(cloud: LocalCloud) -> set[str]:
    with cloud.wire.aside():
        found = cloud_client("s3").list_objects_v2(Bucket=BUCKET)
    return {each["Key"] for each in found["Contents"]}


def test_a_copy_of_the_log_is_encoded_anew_and_its_blobs_stay(cloud: LocalCloud) -> None:
    event = noise(600_000)
    cloud.attach(asks)
    cloud.client.start(asks, event, id="x")
    cloud.run_until_idle()
    cloud.client.signal("x", "go", event + "!")
    cloud.run_until_idle()
    before = blobs_of(cloud)
    cloud.advance(timedelta(days=10))
    there = cloud.store.head("x")
    assert there is not None
    assert there.copied
    assert len(before) == 2
    assert blobs_of(cloud) == before
    cloud.client.complete_callback(TOKENS[0], "yes")
    cloud.run_until_idle()
    assert cloud.client.result("x") == [event, "first", "yes", event + "!"]


def test_only_what_checks_tokens_needs_the_key(cloud: LocalCloud) -> None:
    """The sweeper, and who ends an execution or removes it, does not."""
    cloud.attach(asks)
    cloud.client.start(asks, 1, id="x")
    cloud._moto_queue(cloud.queue_url(asks))._messages.clear()
    cloud.clock.sleep(1)
    keyless = replace(cloud.backend, store=PackedStore(cloud.store))  # type: ignore[arg-type]
    assert sweep(keyless).sent == 1
    cloud.run_until_idle()
    path = f"/callbacks/{TOKENS[0]}"
    event = {"httpMethod": "POST", "path": path, "body": '"yes"', "pathParameters": {"token": TOKENS[0]}}
    with using(keyless):
        answer = callback_api.handler(event, None)
    assert answer["statusCode"] == 500, "a codec that is not configured is no fault of who has the token"
    with using(cloud.backend):
        assert callback_api.handler(event, None)["statusCode"] == 200
    DurableClient(keyless).terminate("x")
    DurableClient(keyless).purge("x")


def test_without_the_secret_no_token_is_genuine(cloud: LocalCloud) -> None:
    cloud.attach(asks)
    cloud.client.start(asks, 1, id="x")
    cloud.run_until_idle()
    stored = cloud.store.head("x")
    token = parse(TOKENS[0])
    assert stored is not None
    assert token is not None
    assert not is_genuine(token, stored.secret)
    with pytest.raises(CallbackError):
        cloud.client.complete_callback(TOKENS[0][:-4] + "AAAA", 1)


def test_a_variable_names_the_key_for_handlers_that_come_ready_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURABLE_FN_BACKEND", raising=False)
    monkeypatch.setenv("DURABLE_FN_TABLE", "t")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert not wiring.from_environment().store.encrypts
    monkeypatch.setenv("DURABLE_FN_KMS_KEY", "alias/mine")
    assert wiring.from_environment().store.encrypts
    own = AesGcm(KEY)
    monkeypatch.setattr(wiring, "_codec", own)
    assert wiring.from_environment().store.packing.codec is own  # type: ignore[attr-defined]
