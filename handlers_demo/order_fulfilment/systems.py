"""The companies around the order."""

from __future__ import annotations

from ..systems import DIRECTORY_VARIABLE, LATENCY_VARIABLE, Count, ExternalSystem, SystemDown

__all__ = [
    "DIRECTORY_VARIABLE",
    "INVENTORY",
    "LATENCY_VARIABLE",
    "MAIL",
    "PAYMENTS",
    "SYSTEMS",
    "WAREHOUSE",
    "Count",
    "ExternalSystem",
    "SystemDown",
]

PAYMENTS = ExternalSystem("payments")
INVENTORY = ExternalSystem("inventory")
WAREHOUSE = ExternalSystem("warehouse")
MAIL = ExternalSystem("mail")
SYSTEMS = (PAYMENTS, INVENTORY, WAREHOUSE, MAIL)
