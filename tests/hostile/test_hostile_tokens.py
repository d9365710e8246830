"""Texts that are near to a token, found by the fuzzer."""

from __future__ import annotations

import base64
import string

import pytest

from durable_fn.log import tokens

_ALPHABET = string.ascii_letters + string.digits + "-_+/=\n"


@pytest.mark.parametrize("id", ["x", "xy", "xyz"])
def test_a_token_has_one_text(id: str) -> None:
    """Base64 has several for the same bytes where its last character has bits to spare."""
    token = tokens.make(id, "ab" * 8, 1, "cd" * 10, "secret", limited=False)
    parsed = tokens.parse(token)
    assert parsed is not None
    assert tokens.is_genuine(parsed, "secret")
    others = [token[:-1] + last for last in _ALPHABET if last != token[-1]] + [
        token + more for more in ("=", "==", "\n", "A")
    ]
    genuine = [other for other in others if (read := tokens.parse(other)) and tokens.is_genuine(read, "secret")]
    assert genuine == []


def test_a_token_has_one_alphabet() -> None:
    """Python reads both of base64's."""
    made = (tokens.make(str(n), "ab" * 8, 1, "cd" * 10, "secret", limited=False) for n in range(1000))
    token = next(token for token in made if "-" in token and "_" in token)
    other = token.replace("-", "+").replace("_", "/")
    assert base64.b64decode(other + "=" * (-len(other) % 4)) == base64.urlsafe_b64decode(
        token + "=" * (-len(token) % 4)
    )
    assert tokens.parse(token) is not None
    assert tokens.parse(other) is None
