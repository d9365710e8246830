"""Starting, watching and steering executions from outside: scripts, API handlers, consoles."""

from .client import DurableClient

__all__ = ["DurableClient"]
