"""Stored values as text. Plain JSON is plain JSON; a value that JSON alone does not tell is marked:

    {"$durable":1,"v":...}                 written by this package: tags inside are tags
    {"$durable":1,"shown":...,"v":...}     the same, and what people and other programs are shown of it
    {"$durable":0,"v":...}                 as it came from outside: nobody has looked at it, and nothing inside is a tag
    {"$durable":-1,"why":...,"v":...}      came from outside, and did not fit where it was taken

The mark is the package's own: a dict of the user's or of a caller's that looks like it is put inside a marked document.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple

MARK: Final = "$durable"
WRITTEN: Final = 1
OUTSIDE: Final = 0
REFUSED: Final = -1

BEGIN: Final = f'{{"{MARK}":'
"""How a marked text begins."""


class Document(NamedTuple):
    """A stored text, taken apart. `kind` None: it has no mark, and no tags. `more`: what it says besides."""

    kind: int | None
    value: Any
    more: dict[str, Any]


def text_of(data: Any, *, tagged: bool) -> str:
    """Of what a form has written. Raises UnicodeEncodeError for a lone surrogate, ValueError for a number of too many digits."""
    if tagged or (type(data) is dict and MARK in data):
        return dumps({MARK: WRITTEN, "v": data})
    return dumps(data)


def with_shown(text: str, shown: str) -> str:
    """The document with another text for people and other programs."""
    document = parse(text)
    value = text if document.kind is None else dumps(document.value)
    return f'{BEGIN}{WRITTEN},"shown":{shown},"v":{value}}}'


def outside(json_text: str) -> str:
    return f'{BEGIN}{OUTSIDE},"v":{json_text}}}'


def unmarked(json_text: str) -> str:
    """JSON for people, which is taken for no document."""
    return outside(json_text) if json_text.startswith(BEGIN) else json_text


def refused(json_text: str, why: str) -> str:
    return f'{BEGIN}{REFUSED},"why":{encode_basestring(why)},"v":{json_text}}}'


REFUSAL: Final = f"{BEGIN}{REFUSED},"
"""How a text begins that came from outside and did not fit."""


def from_outside(text: str) -> str | None:
    """The JSON text that nobody has looked at yet, if it is one."""
    return text[len(_OUTSIDE) : -1] if text.startswith(_OUTSIDE) else None


_OUTSIDE: Final = f'{BEGIN}{OUTSIDE},"v":'


def parse(text: str) -> Document:
    """Raises ValueError for what is no such text."""
    value = loads(text)
    return taken_apart(text, value) if text.startswith(BEGIN) else Document(None, value, {})


def data_of(text: str) -> Any:
    """What a form reads. Raises ValueError."""
    data = loads(text)
    return taken_apart(text, data).value if text.startswith(BEGIN) else data


def taken_apart(text: str, value: Any) -> Document:
    """Of a marked text, and the JSON in it. Raises ValueError."""
    kind = value.pop(MARK)
    if kind not in (WRITTEN, OUTSIDE, REFUSED) or "v" not in value:
        raise ValueError(f"a stored value that this version did not write: {len(text)} characters")
    return Document(kind, value.pop("v"), value)


# -- secrets -------------------------------------------------------------------------------------------------------

ASTERISKS: Final = "**********"
_HIDES: Final = '{"$":"secret","v":'


def holds_secrets(text: str) -> bool:
    return _HIDES in text


def masked(line: str) -> str:
    """A text with documents in it, without what their secrets are."""
    done, place = "", 0
    while (found := line.find(_HIDES, place)) >= 0:
        begin = found + len(_HIDES)
        value, end = _decoder.scan_once(line, begin)
        done += f"{line[place:begin]}{dumps(_asterisks(value))},{dumps(HIDDEN)}:1"
        place = end
    return done + line[place:]


HIDDEN: Final = "hidden"


def _asterisks(value: Any) -> Any:
    """As the untyped value is written where it says what it is."""
    is_bytes = isinstance(value, dict) and value.get("$") == "bytes"
    return {"$": "bytes", "v": ASTERISKS.encode().hex()} if is_bytes else ASTERISKS


# -- JSON, exactly as it is written here -----------------------------------------------------------------------------

_encoder: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def _encode_function() -> Callable[[Any], str]:
    """The encoder of the standard library without what it does for every call: as it stands, where it is another one."""
    try:
        from json.encoder import c_make_encoder  # type: ignore[attr-defined]

        encode: Any = c_make_encoder(None, _encoder.default, encode_basestring, None, ":", ",", False, False, False)
        if "".join(encode({"a": [1.5, "é", None]}, 0)) == '{"a":[1.5,"é",null]}':
            return lambda value: "".join(encode(value, 0))
    except (ImportError, TypeError):
        pass
    return _encoder.encode


_encode: Final = _encode_function()


def dumps(value: Any) -> str:
    """Compact, on one line. Raises UnicodeEncodeError, ValueError."""
    kind = type(value)
    if kind is int:
        return str(value)
    text = encode_basestring(value) if kind is str else _encode(value)
    if not text.isascii():
        text.encode()
    return text


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_decoder: Final[Any] = json.JSONDecoder(parse_constant=_no_number)


def loads(text: str) -> Any:
    """Raises ValueError for what is not JSON, RecursionError for what is nested too deeply."""
    try:
        value, end = _decoder.scan_once(text, 0)
    except StopIteration:
        raise ValueError(f"no JSON: {text[:40]!r}") from None
    if end != len(text):
        raise ValueError(f"something follows the JSON: {text[end : end + 40]!r}")
    return value
