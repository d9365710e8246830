"""Results of `parallel` and `map`, and when one is over. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from .types import CompletionReason, ItemStatus

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


class Completion:
    """When a `parallel` or `map` is over.

    ```python
    batch = ctx.map(resize, images, completion=Completion(max_failure_ratio=0.1))
    ```

    With no limit given everything runs. `min_successful` alone tolerates failures until that number cannot be reached
    any more.

    Args:
        min_successful: It is over at so many successes. Default: none.
        max_failures: It is over at one failure more than that. Default: none.
        max_failure_ratio: 0.0 to 1.0 of all branches; it is over above that. Default: none.

    Raises:
        ValueError: `min_successful` is below 1 or, at the call, above the number of branches; another one is out of its
            range.
    """

    __slots__ = ("max_failure_ratio", "max_failures", "min_successful")

    def __init__(
        self,
        *,
        min_successful: int | None = None,
        max_failures: int | None = None,
        max_failure_ratio: float | None = None,
    ) -> None:
        if min_successful is not None and (not _is_count(min_successful) or min_successful < 1):
            raise ValueError(f"min_successful must be 1 or more, got {min_successful!r}")
        if max_failures is not None and (not _is_count(max_failures) or max_failures < 0):
            raise ValueError(f"max_failures must be 0 or more, got {max_failures!r}")
        if max_failure_ratio is not None and not _is_ratio(max_failure_ratio):
            raise ValueError(f"max_failure_ratio must be between 0.0 and 1.0, got {max_failure_ratio!r}")
        self.min_successful = min_successful
        self.max_failures = max_failures
        self.max_failure_ratio = max_failure_ratio

    @classmethod
    def all_successful(cls) -> Completion:
        """The default: the first failure ends the batch (max_failures=0)."""
        return cls(max_failures=0)

    @classmethod
    def first_successful(cls) -> Completion:
        """It is over at the first success."""
        return cls(min_successful=1)

    @classmethod
    def all_settled(cls) -> Completion:
        """Run everything, whatever fails."""
        return cls()

    def __repr__(self) -> str:
        given = [f"{n}={getattr(self, n)!r}" for n in sorted(self.__slots__) if getattr(self, n) is not None]
        return f"Completion({', '.join(given)})"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_ratio(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


class BatchItem(Generic[T_co]):
    """One branch of a `parallel` or `map`.

    ```python
    for item in batch.items:
        print(item.index, item.name, item.status, item.result, item.error)
    ```

    `status` is "SUCCEEDED", "FAILED" or "CANCELLED": it was not finished, or never began, when the batch was over, and
    its sagas were rolled back.
    """

    __slots__ = ("_error", "_index", "_name", "_result", "_status")

    def __init__(
        self, index: int, name: str, status: ItemStatus, result: T_co | None = None, error: Exception | None = None
    ) -> None:
        self._index = index
        self._name = name
        self._status: ItemStatus = status
        self._result = result
        self._error = error

    @property
    def index(self) -> int:
        return self._index

    @property
    def name(self) -> str:
        """Dict key, `item_name(item)`, or the function's name."""
        return self._name

    @property
    def status(self) -> ItemStatus:
        return self._status

    @property
    def result(self) -> T_co | None:
        """None unless SUCCEEDED (and a success may be None too: look at status)."""
        return self._result

    @property
    def error(self) -> Exception | None:
        return self._error

    def __repr__(self) -> str:
        told = {"SUCCEEDED": f": {self._result!r}", "FAILED": f": {self._error!r}"}.get(self._status, "")
        return f"<{self._name} {self._status}{told}>"


class BatchResult(Generic[T]):
    """What `parallel` and `map` return, also when branches failed: nothing is raised before `.results` is read.

    ```python
    batch = ctx.map(resize, images, completion=Completion.all_settled())
    print(len(batch.succeeded), [item.error for item in batch.failed], batch[0].result)
    ```

    `batch[3]` and `batch["dhl"]` are branches by position and by name. A batch over its tolerance that nobody looked at
    is logged as an error when the handler ends.
    """

    def __init__(
        self,
        items: Sequence[BatchItem[T]],
        reason: CompletionReason,
        kind: type,
        incomplete: Callable[[str, BatchResult[Any]], Exception],
    ) -> None:
        self._items = list(items)
        self._reason: CompletionReason = reason
        self._kind = kind
        self._looked_at = False
        self._incomplete = incomplete  # the error of a batch in which a branch did not succeed

    @property
    def results(self) -> list[T]:
        """In input order; a tuple of branches gives a tuple. Raises BatchError if any branch did not succeed; use
        `.succeeded` to take what there is."""
        self._looked_at = True
        wrong = [item for item in self._items if item.status != "SUCCEEDED"]
        if wrong:
            failed = [item for item in wrong if item.error is not None]
            first = failed[0] if failed else None
            text = f"{len(failed)} of {len(self._items)} branches failed, {len(wrong) - len(failed)} were not finished"
            raise self._incomplete(text, self) from (first.error if first else None)
        return self._kind(item.result for item in self._items)  # type: ignore[no-any-return]

    @property
    def items(self) -> list[BatchItem[T]]:
        self._looked_at = True
        return list(self._items)

    @property
    def succeeded(self) -> list[_Succeeded[T]]:
        self._looked_at = True
        return [item for item in self._items if item.status == "SUCCEEDED"]  # type: ignore[misc]

    @property
    def failed(self) -> list[_Failed[T]]:
        self._looked_at = True
        return [item for item in self._items if item.status == "FAILED"]  # type: ignore[misc]

    @property
    def completion_reason(self) -> CompletionReason:
        self._looked_at = True
        return self._reason

    @property
    def completion_reason_unseen(self) -> CompletionReason | None:
        """None if somebody has looked at anything of it."""
        return None if self._looked_at else self._reason

    def __getitem__(self, key: int | str, /) -> BatchItem[T]:
        """By position or by branch name. KeyError names the branches that exist."""
        self._looked_at = True
        if isinstance(key, int):
            if -len(self._items) <= key < len(self._items):
                return self._items[key]
        else:
            for item in self._items:
                if item.name == key:
                    return item
        raise KeyError(f"no branch {key!r}; there are {self._shown()}")

    def _shown(self) -> str:
        names = [f"{item.index} {item.name!r}" for item in self._items[:20]]
        more = [f"and {len(self._items) - 20} more"] if len(self._items) > 20 else []
        return ", ".join(names + more) or "none"

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[BatchItem[T]]:
        self._looked_at = True
        return iter(self._items)

    def __repr__(self) -> str:
        counts = {s: sum(i.status == s for i in self._items) for s in ("SUCCEEDED", "FAILED", "CANCELLED")}
        return f"<batch of {len(self._items)}, {self._reason}: {counts}>"


if TYPE_CHECKING:

    class _Succeeded(BatchItem[T_co]):
        @property
        def status(self) -> Literal["SUCCEEDED"]: ...
        @property
        def result(self) -> T_co: ...
        @property
        def error(self) -> None: ...

    class _Failed(BatchItem[T_co]):
        @property
        def status(self) -> Literal["FAILED"]: ...
        @property
        def result(self) -> None: ...
        @property
        def error(self) -> Exception: ...

    class _Batch2(BatchResult[T1 | T2], Generic[T1, T2]):
        @property
        def results(self) -> tuple[T1, T2]: ...  # type: ignore[override]

    class _Batch3(BatchResult[T1 | T2 | T3], Generic[T1, T2, T3]):
        @property
        def results(self) -> tuple[T1, T2, T3]: ...  # type: ignore[override]

    class _Batch4(BatchResult[T1 | T2 | T3 | T4], Generic[T1, T2, T3, T4]):
        @property
        def results(self) -> tuple[T1, T2, T3, T4]: ...  # type: ignore[override]

else:
    _Succeeded = _Failed = BatchItem
    _Batch2 = _Batch3 = _Batch4 = BatchResult

__all__ = ["BatchItem", "BatchResult", "Completion"]
