"""The numbers of what is stored and sent, and what one version does about another one's.

Raise a number together with any change that makes what was written before read as something else. What is the same in every
format, so that each version can hold, end and remove an execution of any other: the header's fields, the keys of items, the
text of a recorded error, the fence at the end of a log, the entries that ask for a cancellation or another try, and that
which tells of an end. Beyond that no version writes into a journal of another format, nor reads a value of it.
"""

from __future__ import annotations

from typing import Final

JOURNAL: Final = 2
"""Of an execution: the lines of its log, its inbox entries and its values. Its header carries it."""
UNNUMBERED: Final = 0
"""Of an execution whose header carries no number, and of a SQLite file whose header carries none: older than the first."""
SCHEMA: Final = 4
"""Of a SQLite file: its tables and their columns. `PRAGMA user_version` has it."""
WAKE: Final = 1
"""Of wake messages: "wake/1"."""
