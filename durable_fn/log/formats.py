"""The numbers of what is stored and sent, and what one version does about another one's.

Raise a number together with any change after which older data would be misread. The following is the same in every format, so
that each version can hold, end and remove an execution of any other: the header's fields, the keys of items, the text of a
recorded error, the fence at the end of a log, and the inbox entries that ask for a cancellation, ask for another try, or report
the end of a called execution. Beyond that no version writes into a journal of another format, or reads a value of it.
"""

from __future__ import annotations

from typing import Final

JOURNAL: Final = 4
"""The format of an execution: the lines of its log, its inbox entries and its values. Its header has the number."""
UNNUMBERED: Final = 0
"""For an execution or a SQLite file whose header has no number: it is older than the first one."""
SCHEMA: Final = 4
"""The schema of a SQLite file: its tables and their columns. `PRAGMA user_version` has the number."""
WAKE: Final = 1
"""The format of wake messages: "wake/1"."""
