"""Encryption of everything that users put into a journal. Needs the extra `crypto`."""

from __future__ import annotations

import os
from typing import Final

_NONCE: Final = 12


class AesGcm:
    """AES-GCM with a key of 16, 24 or 32 bytes. The execution id is authenticated with each value, so that one cannot be put in
    another's place. `old_keys` can still be read: rotate by moving the present key there.

    Raises ValueError for a key of another length, and when reading what none of the keys wrote.
    """

    def __init__(self, key: bytes, *, old_keys: tuple[bytes, ...] = ()) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise RuntimeError("encryption needs the extra: pip install 'durable-fn[crypto]'") from error
        self._ciphers = [AESGCM(each) for each in (key, *old_keys)]

    def encode(self, data: bytes, context: str, /) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._ciphers[0].encrypt(nonce, data, context.encode())

    def decode(self, data: bytes, context: str, /) -> bytes:
        from cryptography.exceptions import InvalidTag

        for cipher in self._ciphers:
            try:
                return cipher.decrypt(data[:_NONCE], data[_NONCE:], context.encode())
            except InvalidTag:
                continue
        raise ValueError(f"a stored value of execution {context!r} cannot be decrypted: another key, or it was changed")
