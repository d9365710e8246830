"""Encryption: what is stored cannot be read or moved, keys rotate, and what people get wrong is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from durable_fn import wiring
from durable_fn.backends.packed import PackedStore
from durable_fn.backends.ports import JournalStore
from durable_fn.backends.sqlite import SQLiteBlobs, SQLiteStore
from durable_fn.codecs import AesGcm, KmsAesGcm

from .contract import StoreContract


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    with mock_aws():
        session = botocore.session.get_session()
        session.set_credentials("testing", "testing")
        yield session.create_client("kms", region_name="eu-central-1")


@pytest.fixture(scope="module")
def key(kms: Any) -> str:
    return str(kms.create_key()["KeyMetadata"]["KeyId"])


class Counted:
    """A client that says what it was asked."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def ask(**arguments: Any) -> Any:
            self.asked.append(name)
            return getattr(self._client, name)(**arguments)

        return ask


class TestKmsSQLite(StoreContract):
    @pytest.fixture
    def store(self, kms: Any, key: str) -> Iterator[JournalStore]:
        inner = SQLiteStore(":memory:")
        yield PackedStore(inner, KmsAesGcm(key, client=kms), SQLiteBlobs(inner))  # type: ignore[misc]
        inner.close()

    def test_a_body_of_the_greatest_size(self, store: JournalStore) -> None:
        """Larger than this: see test_packed."""


def test_one_request_serves_a_process(kms: Any, key: str) -> None:
    writer, reader = Counted(kms), Counted(kms)
    codec = KmsAesGcm(key, client=writer)
    stored = [codec.encode(f"value {n}".encode(), "x") for n in range(50)]
    assert [codec.decode(data, "x") for data in stored] == [f"value {n}".encode() for n in range(50)]
    assert writer.asked == ["generate_data_key"]
    other = KmsAesGcm(key, client=reader)
    assert [other.decode(data, "x") for data in stored] == [f"value {n}".encode() for n in range(50)]
    assert reader.asked == ["decrypt"]


def test_a_data_key_does_not_live_for_ever(kms: Any, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Counted(kms)
    codec = KmsAesGcm(key, client=client)
    first = codec.encode(b"a", "x")
    monkeypatch.setattr(codec, "_until", 0.0)
    second = codec.encode(b"a", "x")
    monkeypatch.setattr(codec, "_uses", 1 << 20)
    third = codec.encode(b"a", "x")
    assert client.asked == ["generate_data_key"] * 3
    assert len({data[3:60] for data in (first, second, third)}) == 3
    assert [codec.decode(data, "x") for data in (first, second, third)] == [b"a"] * 3


def test_opened_keys_are_bounded(kms: Any, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = KmsAesGcm(key, client=kms)
    for _ in range(105):
        monkeypatch.setattr(codec, "_until", 0.0)
        codec.encode(b"a", "x")
    assert len(codec._opened) == 100


def test_a_value_of_another_execution_or_key_is_refused(kms: Any, key: str) -> None:
    codec = KmsAesGcm(key, client=kms)
    data = codec.encode(b"secret", "x")
    assert b"secret" not in data
    with pytest.raises(ValueError, match="of execution 'y' cannot be decrypted"):
        codec.decode(data, "y")
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    with pytest.raises(Exception, match=r"AccessDenied|IncorrectKey"):
        KmsAesGcm(other, client=kms).decode(data, "x")


@given(st.binary(max_size=200))
def test_what_it_did_not_write_is_refused(data: bytes) -> None:
    codec = KmsAesGcm("alias/any", client=object())
    if data[:1] == b"\x01" and len(data) > 3 + int.from_bytes(data[1:3]) + 12 and int.from_bytes(data[1:3]):
        return
    with pytest.raises(ValueError, match="was not written through KmsAesGcm"):
        codec.decode(data, "x")


def test_a_key_must_be_named() -> None:
    with pytest.raises(ValueError, match="key_id must name a KMS key"):
        KmsAesGcm("")


def test_keys_rotate() -> None:
    old = AesGcm(b"o" * 32)
    new = AesGcm(b"n" * 32, old_keys=(b"o" * 32,))
    assert new.decode(old.encode(b"a", "x"), "x") == b"a"
    with pytest.raises(ValueError, match="another key, or it was changed"):
        old.decode(new.encode(b"a", "x"), "x")


def test_without_cryptography_it_is_said_at_once_and_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not within the first execution, which would be held."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(RuntimeError, match=r"durable-fn\[crypto\].* deploy/requirements.txt"):
        KmsAesGcm("alias/journal")
    with pytest.raises(RuntimeError, match="cryptography"):
        AesGcm(b"k" * 32)
    monkeypatch.setenv("DURABLE_FN_KMS_KEY", "alias/journal")
    monkeypatch.setenv("DURABLE_FN_TABLE", "journal")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with pytest.raises(RuntimeError, match="cryptography"):
        wiring.from_environment()
