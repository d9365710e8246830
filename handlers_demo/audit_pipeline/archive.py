"""An archive of invoices. Each is derived from its number, so that it is the same for everybody who reads it.

As archives are: some invoices are wrong, some cannot be read at all, and now and then the archive is too busy.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Final

from .models import Invoice

TAX: Final = Decimal("0.19")
CLERKS: Final = ("ada", "grace", "linus", "barbara")
_UNREADABLE: Final = 0.01
_BUSY: Final = 0.01


class ArchiveBusy(ConnectionError):
    """Worth another attempt."""


class Unreadable(ValueError):
    """The record is damaged: another attempt would find the same."""


def numbers(archive: str, records: int) -> list[str]:
    return [f"{archive}-{n:05}" for n in range(1, records + 1)]


def read(number: str, attempt: int) -> Invoice:
    """Raises ArchiveBusy on some first attempts, Unreadable for damaged records."""
    chance = random.Random(number)
    if chance.random() < _UNREADABLE:
        raise Unreadable(f"{number} is damaged: its checksum is wrong")
    if chance.random() < _BUSY and attempt == 1:
        raise ArchiveBusy("the archive answers 503")
    return _invoice(number, chance)


def _invoice(number: str, chance: random.Random) -> Invoice:
    net = [Decimal(chance.randrange(100, 400_000)) / 100 for _ in range(chance.randint(1, 5))]
    tax = (sum(net, Decimal(0)) * TAX).quantize(Decimal("0.01"))
    issued, approved = chance.sample(CLERKS, 2)
    wrong = chance.random()
    if wrong < 0.01:
        approved = issued
    elif wrong < 0.02:
        tax += Decimal("1.00")
    total = sum(net, Decimal(0)) + tax + (Decimal("10.00") if 0.02 <= wrong < 0.03 else 0)
    return Invoice(number=number, net=net, tax=tax, total=total, issued_by=issued, approved_by=approved)
