"""On which values are stored."""

from __future__ import annotations

from typing import Final, NamedTuple


class Terms(NamedTuple):
    """`encrypted`: a codec encrypts them, so secrets may be among them. `check_up_to`: the largest text, in characters, that is
    read back and compared; None: all are."""

    encrypted: bool = False
    check_up_to: int | None = None


STRICT: Final = Terms()
