"""Encryption of everything that users put into a journal. Needs the extra `crypto`."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from collections import OrderedDict
from typing import Any, Final

_NONCE: Final = 12
_TAG: Final = 16
_KMS_VERSION: Final = 1
_DATA_KEY_LIFE_S: Final = 3600
_DATA_KEY_USES: Final = 1 << 20
"""Far below the 2**32 values that one AES-GCM key may encrypt with random nonces (NIST SP 800-38D, 8.3)."""
_MOST_KEPT: Final = 100
_CONTEXT: Final = {"durable_fn": "journal"}
_MISSING: Final = (
    "encryption needs the package cryptography, and it is not installed here: pip install 'durable-fn[crypto]'. On Lambda it "
    "belongs into the package or the layer: take the # away before it in deploy/requirements.txt and build again"
)


class AesGcm:
    """AES-GCM with a key of 16, 24 or 32 bytes. The execution, its run and the place of a value in it are authenticated with each
    value, so that one cannot be put in another's place. `old_keys` can still be read: rotate by moving the present key there.

    Raises ValueError for a key of another length, and when reading what none of the keys wrote.
    """

    def __init__(self, key: bytes, *, old_keys: tuple[bytes, ...] = ()) -> None:
        _require_cryptography()
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._ciphers = [AESGCM(each) for each in (key, *old_keys)]

    def encode(self, data: bytes, context: str, /) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._ciphers[0].encrypt(nonce, data, context.encode())

    def decode(self, data: bytes, context: str, /) -> bytes:
        from cryptography.exceptions import InvalidTag

        if len(data) < _NONCE + _TAG:
            raise ValueError(
                f"a stored value of {_of(context)} was cut off, or not written through this codec: it has {len(data)} bytes, and "
                f"even an empty one has {_NONCE + _TAG}"
            )
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(data[:_NONCE], data[_NONCE:], context.encode())
            except InvalidTag:
                continue
        raise ValueError(
            f"a stored value of {_of(context)} cannot be decrypted: another key, or it was changed or moved from another place"
        )


def _require_cryptography() -> None:
    """Without loading it. Raises RuntimeError."""
    there = sys.modules["cryptography"] if "cryptography" in sys.modules else importlib.util.find_spec("cryptography")
    if there is None:
        raise RuntimeError(_MISSING)


def _of(context: str) -> str:
    """What a context says, for people."""
    id, _, place = context.partition("\n")
    return f"execution {id!r}" + (f" ({place.partition(chr(10))[2]})" if place else "")


class KmsAesGcm:
    """AES-GCM with data keys from AWS KMS: the key that opens a value is stored beside it, wrapped by the KMS key, so the table
    and the bucket alone are of no use to anybody.

    key_id   id, ARN or alias of a symmetric KMS key. Whoever runs or reads executions needs `kms:GenerateDataKey` and
             `kms:Decrypt` on it; the encryption context is {"durable_fn": "journal"}.
    client   a KMS client; default: made from the environment at the first use.

    One data key serves a process for an hour or a million values, and opened ones are kept in memory: a request is made for the
    first value a process writes, and for each foreign data key it meets, not for each value. Rotation of the KMS key needs
    nothing. Raises RuntimeError without the extra `crypto`, ValueError for a value that it did not write or that was changed,
    and what KMS raises.
    """

    def __init__(self, key_id: str, *, client: Any = None) -> None:
        if not isinstance(key_id, str) or not key_id:
            raise ValueError(f"key_id must name a KMS key (id, ARN or alias/...), got {key_id!r}")
        _require_cryptography()  # now, and not within the first execution
        self._key_id = key_id
        self._client = client
        self._lock = threading.Lock()
        self._mine: tuple[bytes, AesGcm] | None = None
        self._until = 0.0
        self._uses = 0
        self._opened: OrderedDict[bytes, AesGcm] = OrderedDict()

    def encode(self, data: bytes, context: str, /) -> bytes:
        wrapped, cipher = self._data_key()
        head = bytes([_KMS_VERSION]) + len(wrapped).to_bytes(2) + wrapped
        return head + cipher.encode(data, context)

    def decode(self, data: bytes, context: str, /) -> bytes:
        size = int.from_bytes(data[1:3])
        wrapped, rest = data[3 : 3 + size], data[3 + size :]
        if data[:1] != bytes([_KMS_VERSION]) or not size or len(wrapped) < size or len(rest) <= _NONCE:
            raise ValueError(f"a stored value of {_of(context)} was not written through KmsAesGcm, or cut off")
        return self._open(wrapped).decode(rest, context)

    def _data_key(self) -> tuple[bytes, AesGcm]:
        with self._lock:
            self._uses += 1
            if self._mine is None or time.monotonic() > self._until or self._uses > _DATA_KEY_USES:
                reply = self._kms().generate_data_key(KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=_CONTEXT)
                self._mine = reply["CiphertextBlob"], AesGcm(reply["Plaintext"])
                self._until, self._uses = time.monotonic() + _DATA_KEY_LIFE_S, 1
                self._keep(*self._mine)
            return self._mine

    def _open(self, wrapped: bytes) -> AesGcm:
        with self._lock:
            found = self._opened.get(wrapped)
            if found is None:
                reply = self._kms().decrypt(CiphertextBlob=wrapped, KeyId=self._key_id, EncryptionContext=_CONTEXT)
                found = AesGcm(reply["Plaintext"])
                self._keep(wrapped, found)
            return found

    def _keep(self, wrapped: bytes, cipher: AesGcm) -> None:
        self._opened[wrapped] = cipher
        if len(self._opened) > _MOST_KEPT:
            self._opened.popitem(last=False)

    def _kms(self) -> Any:
        if self._client is None:
            from .backends.aws.clients import factory

            self._client = factory()("kms")
        return self._client
