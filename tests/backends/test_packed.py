"""Values on their way: the contract through a codec and a blob store, sizes, and what is hostile or missing."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.backends.packed import PackedStore
from durable_fn.backends.packing import Packing, Place
from durable_fn.backends.ports import JournalStore
from durable_fn.backends.sqlite import SQLiteBlobs, SQLiteStore
from durable_fn.codecs import AesGcm
from durable_fn.errors import PayloadTooLarge
from durable_fn.log.events import Segment
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud

from .contract import StoreContract

KEY = bytes(range(32))
PLACE = Place("id", "run", "f")


def noise(size: int) -> str:
    """Text that does not compress."""
    return base64.b64encode(random.Random(7).randbytes(size * 3 // 4)).decode()


class Memory:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self.kept[key] = data

    def get(self, key: str) -> bytes:
        return self.kept[key]

    def remove(self, prefix: str) -> None:
        for key in [key for key in self.kept if key.startswith(prefix)]:
            del self.kept[key]


class TestEncryptedSQLite(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[JournalStore]:
        inner = SQLiteStore(":memory:")
        yield PackedStore(inner, AesGcm(KEY), SQLiteBlobs(inner))  # type: ignore[misc]
        inner.close()

    def test_a_body_of_the_greatest_size(self, store: JournalStore) -> None:
        text = noise(6_000_000)
        owned = self.owned(store)
        assert store.append(owned, Segment(0, "w", text))
        loaded = store.load(owned.key)
        assert loaded is not None
        assert loaded.segments[0].body == text

    def test_nothing_readable_is_stored(self, store: Any) -> None:
        owned = self.owned(store, input='"card 4111"')
        store.append(owned, Segment(0, "w", "card 4111"))
        inner: SQLiteStore = store.store
        assert "4111" not in "".join(inner.database._db.iterdump())


class TestPackedDynamoDB(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[JournalStore]:
        with LocalCloud() as cloud:
            yield PackedStore(cloud.store, AesGcm(KEY), Memory())  # type: ignore[misc]

    def test_a_body_of_the_greatest_size(self, store: JournalStore) -> None:
        TestEncryptedSQLite().test_a_body_of_the_greatest_size(store)


# -- packing -------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=9000), st.booleans())
@example(noise(9000), False)
@example("\x02:" + noise(9000), True)
def test_any_text_comes_back(text: str, encrypted: bool) -> None:
    packing = Packing(2000, AesGcm(KEY) if encrypted else None, Memory())
    packed = packing.pack(text, PLACE)
    assert packing.unpack(packed, PLACE) == text
    assert len(packed.encode()) <= packing.item


def test_small_values_stay_readable() -> None:
    assert Packing(380_000, None, None).pack('{"a":1}', PLACE) == '{"a":1}'


def test_large_values_are_compressed_before_anything_else() -> None:
    blobs = Memory()
    packing = Packing(380_000, None, blobs)
    packed = packing.pack("x" * 1_000_000, PLACE)
    assert packed.startswith("\x02z:")
    assert len(packed) < 3000
    assert blobs.kept == {}


def test_without_a_bucket_the_limit_is_told() -> None:
    packing = Packing(380_000, None, None)
    text = noise(600_000)
    assert not packing.fits(text)
    assert packing.fits("x" * 5_000_000)
    with pytest.raises(PayloadTooLarge, match=r"an item takes 380,000. Set DURABLE_FN_BUCKET") as caught:
        packing.pack(text, PLACE)
    assert caught.value.size > caught.value.limit


@pytest.mark.parametrize(
    ("text", "why"),
    [("\x02q:x", "another version"), ("\x02z", "another version"), ("\x02b:key", "DURABLE_FN_BUCKET is not set"),
     ("\x02c:AAAA", "none is configured")],
)  # fmt: skip
def test_what_cannot_be_unpacked(text: str, why: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=why):
        Packing(380_000, None, None).unpack(text, PLACE)


@pytest.mark.parametrize("text", ["a" * 5000, '{"total":"1.10"}' * 400, "\x02z:not packed"])
def test_a_damaged_value_is_never_another_one(text: str) -> None:
    """Cut at any place, with something behind it, or with any bit of it turned."""
    packing = Packing(100_000, None, None)
    packed = packing.pack(text, PLACE)
    assert packed.startswith("\x02z:")
    raw = packed.encode()
    changed = [raw[:length] for length in range(1, len(raw))] + [raw + b"=", raw + b"AAAA", raw + raw[3:]]
    changed += [
        raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :] for place in range(len(raw)) for bit in range(8)
    ]
    found = {_unpacked(packing, data) for data in changed}
    assert found <= {None, text} | {data.decode("utf-8", "replace") for data in changed if data[:1] in (b'"', b"B")}


def _unpacked(packing: Packing, data: bytes) -> str | None:
    try:
        return packing.unpack(data.decode(), PLACE)
    except (ValueError, RuntimeError):
        return None


def test_a_stream_that_goes_on_behind_its_end() -> None:
    packing = Packing(100_000, None, None)
    for data, why in (
        (zlib.compress(b"text") + b"more", "something follows it"),
        (zlib.compress(b"text")[:-4], "its end is missing"),
        (zlib.compress(b"text")[:-1] + b"\x00", "is damaged"),
        (b"text", "is damaged"),
    ):
        with pytest.raises(ValueError, match=why):
            packing.unpack(f"\x02z:{base64.b64encode(data).decode()}", PLACE)


def test_a_blob_that_is_not_what_was_put_there() -> None:
    blobs = Memory()
    packing = Packing(1000, None, blobs)
    packed = packing.pack(noise(50_000), PLACE)
    blobs.kept = {key: data[:-1] + b"!" for key, data in blobs.kept.items()}
    with pytest.raises(ValueError, match="is not what was put there"):
        packing.unpack(packed, PLACE)


def test_a_bomb_is_not_inflated() -> None:
    bomb = base64.b64encode(zlib.compress(b"\0" * (300 * 1024 * 1024), 9)).decode()
    with pytest.raises(ValueError, match="larger than"):
        Packing(380_000, None, None).unpack(f"\x02z:{bomb}", PLACE)


def test_values_cannot_be_swapped_between_executions() -> None:
    packing = Packing(380_000, AesGcm(KEY), None)
    packed = packing.pack("secret", Place("mine", "run", "f"))
    with pytest.raises(ValueError, match="cannot be decrypted: another key, or it was changed"):
        packing.unpack(packed, Place("yours", "run", "f"))
    rotated = Packing(380_000, AesGcm(bytes(32), old_keys=(KEY,)), None)
    assert rotated.unpack(packed, Place("mine", "run", "f")) == "secret"
    with pytest.raises(ValueError, match=r"16, 24, or 32|128, 192, or 256"):
        AesGcm(b"short")


# -- whole executions ----------------------------------------------------------------------------------------------


@durable(name="large")
def large(event: str, ctx: DurableContext) -> str:
    first = ctx.step(lambda: noise(len(event)))
    ctx.sleep(60)
    return first + ctx.step(lambda: event)


@durable(name="large")
async def a_large(event: str, ctx: AsyncDurableContext) -> str:
    first = await ctx.step(lambda: noise(len(event)))
    await ctx.sleep(60)
    return first + await ctx.step(lambda: event)


@pytest.mark.parametrize("function", [large, a_large], ids=["sync", "async"])
@pytest.mark.parametrize("size", [1_000_000, 6_000_000])
@pytest.mark.parametrize("where", ["sqlite", "aws"])
def test_inputs_and_results_of_megabytes(function: Any, size: int, where: str) -> None:
    event = noise(size)
    if where == "sqlite":
        with LocalRunner(function) as runner:
            assert runner.run(event).result == event + event
        return
    with LocalCloud(bucket=True) as cloud:
        cloud.attach(function)
        id = cloud.client.start(function, event)
        assert cloud.run(id).status == "SUCCEEDED"
        assert cloud.client.result(id) == event + event
        assert not cloud.deaths


def test_too_large_without_a_bucket_is_a_failure_that_says_what_to_do() -> None:
    with LocalCloud() as cloud:
        cloud.attach(large)
        with pytest.raises(PayloadTooLarge, match="Set DURABLE_FN_BUCKET"):
            cloud.client.start(large, noise(1_000_000))

        @durable(name="grows")
        def grows(event: Any, ctx: DurableContext) -> int:
            return len(ctx.step(lambda: noise(1_000_000)))

        cloud.attach(grows)
        answer = cloud.invoke(grows, None)
        assert answer["status"] == "FAILED"
        assert "DURABLE_FN_BUCKET" in answer["error"]["message"]
