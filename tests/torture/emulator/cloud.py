"""A local cloud on the emulator in memory: ten times as quick as moto, and as strict in what the SDK asks of it."""

from __future__ import annotations

from durable_fn.testing.cloud import LocalCloud
from tests.torture.emulator.account import MemoryAccount


class MemoryCloud(LocalCloud):
    _account = MemoryAccount
