"""On which values are stored."""

from __future__ import annotations

from typing import Final, NamedTuple


class Terms(NamedTuple):
    """`encrypted`: a codec encrypts them, so secrets may be among them. `check_up_to`: the largest text, in bytes, that is read
    back and compared; None: all are."""

    encrypted: bool = False
    check_up_to: int | None = None

    def checks(self, text: str) -> bool:
        return self.check_up_to is None or len(text.encode()) <= self.check_up_to


STRICT: Final = Terms()
