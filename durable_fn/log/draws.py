"""Random draws, derived from an execution's secret: the same on every replay, and nobody else can guess them."""

from __future__ import annotations

import hashlib

from .header import Header


def derived(header: Header, purpose: str) -> bytes:
    text = f"{header.run}\x00{header.gen}\x00{purpose}"
    return hashlib.blake2b(text.encode(), key=header.proof_secret.encode(), digest_size=16).digest()


def seed_of(header: Header) -> str:
    """The seed of an execution's draws. A fork gets it too, so it must not reveal the secret that tokens are made of."""
    return derived(header, "draws").hex()


def drawn(seed: str, purpose: str) -> bytes:
    return hashlib.blake2b(purpose.encode(), key=seed.encode(), digest_size=16).digest()
