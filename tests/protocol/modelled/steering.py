"""What operators do, in the model: terminate, redrive and fork. Each reads first, and decides by a condition on what it read."""

from __future__ import annotations

from typing import Any

from .invocation import Invocations, Steps
from .places import moved_on
from .world import FREE, NOW, World

_READ = 20
"""Where one is who has read the log: this, and how many segments there were."""
_HALF = 10
REFUSED, DONE = 8, 9


class Steering(Invocations):
    """Of the first execution. A fork is the second one."""

    def terminates(self, w: World, j: int) -> Steps:
        e, at = w.exs[0], w.outs[j][0]
        if not e.status:
            return
        if at == _HALF:
            tomb = self.ex(w, 0, log=(*e.log, (0, (("tomb",),))))
            yield "terminate: the tombstone is put", True, moved_on(tomb, j, DONE)
        elif not e.live:
            yield "terminate is refused", True, moved_on(w, j, REFUSED)
        elif at == 0:
            yield f"terminate reads {len(e.log)} segments", True, moved_on(w, j, _READ + len(e.log))
        elif len(e.log) != at - _READ and self.rule("a termination puts a tombstone"):
            yield "terminate: the log has grown", True, moved_on(w, j, 0)
        else:
            yield "terminate ends it", True, self._ended_by(w, j)

    def _ended_by(self, w: World, j: int) -> World:
        e, log = w.exs[0], w.exs[0].log
        whole = self.rule("a tombstone and the end are one request")
        if self.rule("a termination puts a tombstone") and whole:
            log = (*log, (0, (("tomb",),)))
        return moved_on(
            self.ex(w, 0, status="TERMINATED", lease=FREE, due="", log=log, owner=e.owner), j, DONE if whole else _HALF
        )

    def redrives(self, w: World, j: int) -> Steps:
        """Of one that was cancelled or terminated."""
        e, at = w.exs[0], w.outs[j][0]
        if at == _HALF:
            rewound = self.ex(w, 0, log=(*e.log, (0, (("rewind",),))))
            yield "redrive: its line is put", True, moved_on(rewound, j, DONE)
        elif e.status == "SUCCEEDED" or (e.live and at >= _READ):
            yield "redrive is refused", True, moved_on(w, j, REFUSED)
        elif e.status not in ("CANCELLED", "TERMINATED"):
            return
        elif at == 0:
            yield f"redrive reads {len(e.log)} segments", True, moved_on(w, j, _READ + len(e.log))
        elif len(e.log) != at - _READ:
            yield "redrive: the log has grown", True, moved_on(w, j, 0)
        else:
            whole = self.rule("a redrive's line and its new beginning are one request")
            log = (*e.log, (0, (("rewind",),))) if whole else e.log
            due = NOW if self.rule("a redrive makes it due") else ""
            owner = 0 if self.rule("a redrive forgets the owner") else e.owner
            begun = self.ex(w, 0, status="PENDING", owner=owner, lease=FREE, died=False, due=due, log=log, revived=True)
            yield "redrive begins it anew", True, moved_on(begun, j, DONE if whole else _HALF)

    def forks(self, w: World, j: int) -> Steps:
        """Header last: nobody takes what is not whole."""
        e, fork, at = w.exs[0], w.exs[1], w.outs[j][0]
        last = self.rule("a fork's header goes last")
        if not e.status or (at == 0 and not e.log):
            return
        if at == 0:
            yield f"fork reads {len(e.log)} segments", True, moved_on(w, j, _READ + len(e.log))
        elif at == _HALF and not last:
            if fork.log:
                w = self.bad(w, "LINEAR a fork's log is copied over what it wrote")
            yield "fork: the log is copied", True, moved_on(self.ex(w, 1, log=e.log[: fork.input]), j, DONE)
        elif at == _HALF:
            yield "fork: its header is put", True, moved_on(self.ex(w, 1, status="PENDING", due=NOW), j, DONE)
        else:
            count = at - _READ
            copied = tuple((0, lines) for _, lines in e.log[:count])
            changes: dict[str, Any] = {"log": copied} if last else {"status": "PENDING", "due": NOW}
            yield "fork: its first half", True, moved_on(self.ex(w, 1, input=count, **changes), j, _HALF)
