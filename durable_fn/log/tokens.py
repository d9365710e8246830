"""Callback tokens: where the callback is, and a proof that we made it.

The proof is an HMAC with the execution's secret, so a token exists before anything is written, is the same on every replay,
and nobody can make one. Everything else in it only says where to look; it is no secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from typing import Final, NamedTuple

_VERSIONS: Final = {1: False, 2: True}
_HEAD: Final = struct.Struct(">BI16s10s8s")
_LONGEST: Final = 1000


class Token(NamedTuple):
    """`operation`: hash of the callback's operation id; `proof`: checked against the header's secret; `limited`: it has a
    timeout, which only the log knows."""

    id: str
    run: str
    gen: int
    operation: str
    proof: bytes
    limited: bool


def make(id: str, run: str, gen: int, operation: str, secret: str, *, limited: bool) -> str:
    proof = _proof(id, run, gen, operation, limited, secret)
    head = _HEAD.pack(1 + limited, gen, proof, bytes.fromhex(operation), bytes.fromhex(run))
    return _encoded(head + id.encode())


def _encoded(data: bytes) -> str:
    """The only text that stands for it: base64 as such has others, in its last bits and its two alphabets."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def parse(token: object) -> Token | None:
    """None for a text that is no token."""
    if not isinstance(token, str) or len(token) > _LONGEST or not token.isascii():
        return None
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, gen, proof, operation, run = _HEAD.unpack_from(data)
        id = data[_HEAD.size :].decode()
    except (ValueError, struct.error):
        return None
    if version not in _VERSIONS or id.strip() != id or not id or _encoded(data) != token:
        return None
    return Token(id, run.hex(), gen, operation.hex(), proof, _VERSIONS[version])


def is_genuine(token: Token, secret: str) -> bool:
    """Compares the proof in constant time."""
    return hmac.compare_digest(token.proof, _proof(*token[:4], token.limited, secret))


def _proof(id: str, run: str, gen: int, operation: str, limited: bool, secret: str) -> bytes:
    message = f"callback\0{run}\0{gen}\0{operation}\0{limited:d}\0{id}".encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).digest()[:16]
