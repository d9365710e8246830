"""A fan: branches that run side by side, and when it is over. Pure; the drivers run the branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..batch import BatchItem, BatchResult, Completion
from ..errors import BatchError
from ..log import failures
from ..log.journal import Record
from ..types import CompletionReason, ItemStatus
from ..values.adapters import Adapter
from .cancel_scope import CancelScope


def incomplete(text: str, batch: BatchResult[Any]) -> BatchError:
    """A BatchError with all causes; its message ends with the first."""
    first = next((item for item in batch if item.error is not None), None)
    if first is not None and first.error is not None:
        text += f"; the first failure is branch {first.name!r}: {failures.told(first.error)}"
    error = BatchError(text, batch=batch)
    error.causes = failures.causes_of(error)
    return error


class Branch:
    """One branch of a fan. `adapter` None: its function does not say what it returns, so it is walked again on replay."""

    __slots__ = ("adapter", "args", "cancel_scope", "component", "error", "fn", "index", "name", "record", "started",
                 "status", "value", "walk")  # fmt: skip

    def __init__(
        self,
        index: int,
        name: str,
        component: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        adapter: Adapter | None,
    ) -> None:
        self.index = index
        self.name = name
        self.component = component
        self.fn = fn
        self.args = args
        self.adapter = adapter
        self.cancel_scope: CancelScope | None = None
        self.started = False
        self.record: Record | None = None  # how it ended, where that is recorded
        self.walk = False  # it has ended, and its code runs again for the value or the error that was not recorded
        self.status: ItemStatus | None = None
        self.value: Any = None
        self.error: Exception | None = None

    @property
    def is_new(self) -> bool:
        """Whether it has not started, and is to be walked again or has no outcome."""
        return not self.started and (self.walk or self.status is None)

    @property
    def what(self) -> str:
        return f"the result of branch {self.name!r}"


class Fan:
    """Counts how its branches end. `reason` is set once it is over; branches that have not ended then are cancelled."""

    def __init__(self, branches: list[Branch], completion: Completion, max_concurrency: int | None) -> None:
        self.branches = branches
        self.completion = completion
        self.width = max_concurrency or len(branches) or 1
        self.reason: CompletionReason | None = None if branches else "ALL_COMPLETED"
        self.ended = 0
        self.succeeded = 0
        self.failed = 0
        self.late = 0  # that ended by themselves once it was over
        self.early = False  # over before every branch had ended: the order of their ends decided
        self.decided: Branch | None = None  # whose end that was
        self._next = 0

    @property
    def over(self) -> bool:
        return self.reason is not None

    @property
    def most_begun(self) -> int:
        """How many branches can have begun before it was over: they begin in order, and a new one when another has ended by
        itself. One that did so too late may have been in time for an owner that died."""
        return self.width + self.succeeded + self.failed + self.late - (self.decided is not None)

    def next_new(self) -> Branch | None:
        """The next branch to start: one to walk again, or one without an outcome."""
        while self._next < len(self.branches):
            branch = self.branches[self._next]
            if branch.is_new:
                return branch
            self._next += 1
        return None

    def end(self, branch: Branch, status: ItemStatus, value: Any = None, error: Exception | None = None) -> None:
        """A branch has ended. One that ends after the fan is over was too late: it counts as cancelled."""
        late = self.over and status != "CANCELLED"
        branch.status = "CANCELLED" if late else status
        branch.value, branch.error = (None, None) if late else (value, error)
        self.ended += 1
        if branch.status == "SUCCEEDED":
            self.succeeded += 1
        elif branch.status == "FAILED":
            self.failed += 1
        if (
            not self.over and status != "CANCELLED"
        ):  # cancelled before it was over: from above, and that ends it otherwise
            self.reason = self._reason()
            self.early = self.over and self.ended < len(self.branches)
            self.decided = branch if self.over else None

    def _reason(self) -> CompletionReason | None:
        limits, total = self.completion, len(self.branches)
        if limits.min_successful is not None and self.succeeded >= limits.min_successful:
            return "MIN_SUCCESSFUL_REACHED"
        if self._too_many_failures(total):
            return "FAILURE_TOLERANCE_EXCEEDED"
        return "ALL_COMPLETED" if self.ended == total else None

    def _too_many_failures(self, total: int) -> bool:
        limits = self.completion
        if limits.max_failures is not None and self.failed > limits.max_failures:
            return True
        if limits.max_failure_ratio is not None and self.failed / total > limits.max_failure_ratio:
            return True
        return limits.min_successful is not None and self.failed > total - limits.min_successful

    def result(self, kind: type = list) -> BatchResult[Any]:
        items: list[BatchItem[Any]] = [
            BatchItem(s.index, s.name, s.status or "CANCELLED", s.value, s.error) for s in self.branches
        ]
        return BatchResult(items, self.reason or "ALL_COMPLETED", kind, incomplete)
