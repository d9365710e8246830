"""How often and how late a failed attempt is repeated."""

from __future__ import annotations

import inspect
import logging
import math
import random
from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeAlias

from ..errors import StepInterrupted
from ..log.durations import milliseconds
from ..types import Duration
from .current import MisplacedCall, apart

_log = logging.getLogger("durable_fn")

ErrorFilter: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""A class, some classes, or a predicate (for boto's ClientError, where the code decides)."""

Jitter: TypeAlias = Literal["full", "half", "none"]


class _Default(int):
    """Of `max_attempts`: a number that the user did not write. It limits attempts, but not the checks of a poll."""


class RetryPolicy:
    """How often and how late a failed attempt is repeated. Immutable.

    ```python
    patient = RetryPolicy(max_attempts=8, initial_delay=5, max_delay=600, give_up_on=ValueError)
    ```

    The delay before attempt n + 1 is `initial_delay * backoff ** (n - 1)`, at most `max_delay`, then jitter. Waiting is
    durable: a delay of more than about a second costs no Lambda time.

    Args:
        max_attempts: 1 is no retry, None no limit. Default: 3.
        initial_delay: Seconds, or a `timedelta`, before the second attempt. Default: 1 s.
        backoff: How much longer each delay is than the one before. Default: 2.
        max_delay: No delay is longer. Default: 300 s.
        jitter: "full" takes a random part of the delay, "half" at least half, "none" all of it. Default: "full".
        retry_on: A class, some classes, or a function of the error. Default: every Exception. Only where it names
            StepInterrupted itself is an `at_most_once` step tried again after a death.
        give_up_on: The same. It wins. Default: nothing.

    Raises:
        TypeError: An argument makes no policy.
        ValueError: The same.
    """

    __slots__ = ("_give_up_on", "_retry_on", "backoff", "checks", "initial_ms", "jitter", "max_attempts", "max_ms")

    max_attempts: int | None
    checks: int | None
    """`max_attempts` as it limits the checks of a poll: None unless it was given."""
    initial_ms: int
    backoff: float
    max_ms: int
    jitter: Jitter
    _retry_on: ErrorFilter
    _give_up_on: ErrorFilter

    def __init__(
        self,
        *,
        max_attempts: int | None = _Default(3),
        initial_delay: Duration = 1,
        backoff: float = 2.0,
        max_delay: Duration = 300,
        jitter: Jitter = "full",
        retry_on: ErrorFilter = Exception,
        give_up_on: ErrorFilter = (),
    ) -> None:
        if max_attempts is not None and (not isinstance(max_attempts, int) or max_attempts < 1):
            raise ValueError(f"max_attempts must be 1 or more, or None for no limit, got {max_attempts!r}")
        if not isinstance(backoff, int | float) or not 1 <= backoff <= 1e6:
            raise ValueError(f"backoff must be 1 or more, got {backoff!r}")
        if jitter not in ("full", "half", "none"):
            raise ValueError(f'jitter must be "full", "half" or "none", got {jitter!r}')
        set_ = object.__setattr__
        set_(self, "max_attempts", None if max_attempts is None else int(max_attempts))
        set_(self, "checks", None if isinstance(max_attempts, _Default) else max_attempts)
        set_(self, "initial_ms", milliseconds(initial_delay, "initial_delay"))
        set_(self, "backoff", float(backoff))
        set_(self, "max_ms", milliseconds(max_delay, "max_delay"))
        set_(self, "jitter", jitter)
        set_(self, "_retry_on", _checked(retry_on, "retry_on"))
        set_(self, "_give_up_on", _checked(give_up_on, "give_up_on"))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"RetryPolicy is immutable; make a new one to change {name}")

    def __repr__(self) -> str:
        return (
            f"RetryPolicy(max_attempts={self.max_attempts}, initial_delay={self.initial_ms / 1000:g}, "
            f"backoff={self.backoff:g}, max_delay={self.max_ms / 1000:g}, jitter={self.jitter!r})"
        )

    def retries(self, error: Exception, attempt: int) -> bool:
        """Whether another attempt follows after `attempt` (from 1) ended with `error`."""
        if self.max_attempts is not None and attempt >= self.max_attempts:
            return False
        return _matches(self._retry_on, error) and not _matches(self._give_up_on, error)

    def retries_interrupted(self, attempt: int, error: StepInterrupted) -> bool:
        """Whether another attempt follows after the process died in `attempt`: only where `retry_on` names that class
        itself."""
        classes = self._retry_on if isinstance(self._retry_on, tuple) else (self._retry_on,)
        if StepInterrupted not in classes or (self.max_attempts is not None and attempt >= self.max_attempts):
            return False
        try:
            return not apart(_matches, self._give_up_on, error)
        except Exception:
            _log.exception("give_up_on failed itself, so the step is not tried again")
            return False

    def delay_ms(self, attempt: int, rand: Callable[[], float] = random.random) -> int:
        """Milliseconds to wait after `attempt` (from 1) failed. `rand` gives [0, 1)."""
        longest = float(self.max_ms)
        if self.initial_ms and (attempt - 1) * math.log2(self.backoff) < 64:  # beyond that any max_delay is reached
            longest = min(self.initial_ms * self.backoff ** (attempt - 1), longest)
        elif not self.initial_ms:
            longest = 0.0
        if self.jitter == "full":
            longest *= rand()
        elif self.jitter == "half":
            longest *= 0.5 + rand() / 2
        return round(longest)


def _checked(filter: Any, what: str) -> ErrorFilter:
    classes = filter if isinstance(filter, tuple) else (filter,)
    for cls in classes:
        if isinstance(cls, type) and issubclass(cls, Exception):
            continue
        if not isinstance(filter, tuple) and callable(cls) and not isinstance(cls, type):
            continue
        raise TypeError(
            f"{what} must be an Exception class, a tuple of them, or a function of the error, not {filter!r}"
        )
    return filter  # type: ignore[no-any-return]


def _matches(filter: ErrorFilter, error: Exception) -> bool:
    if isinstance(filter, type | tuple):
        return isinstance(error, filter)
    return bool(filter(error))


DEFAULT_RETRY = RetryPolicy()

Retry: TypeAlias = RetryPolicy | Callable[[Exception, int], Duration | None]
"""A policy, or a function of the error and of the attempt (from 1) that it ended: how long to wait before the next one, in
seconds or as a timedelta; None gives up. It is asked once per failed attempt: what it says is recorded. One that raises, or
returns something else, is logged, and gives up."""

Every: TypeAlias = Duration | RetryPolicy | Callable[[Any, int], Duration | None]
"""The time between the checks of a poll: fixed, growing, or a function of the state and of the number of checks so far. The
poll raises what that function raises."""


def checked_retry(retry: Any, what: str) -> Retry | None:
    """Raises TypeError for a value that is neither a policy nor a function."""
    if retry is None or isinstance(retry, RetryPolicy) or _is_function(retry):
        return retry  # type: ignore[no-any-return]
    shown = f"the class {retry.__name__}" if isinstance(retry, type) else type(retry).__name__
    raise TypeError(
        f"{what} must be a RetryPolicy or a function (error, attempt) -> delay or None, not {shown}; "
        "RetryPolicy(max_attempts=1) is none"
    )


def _is_function(value: Any) -> bool:
    """Whether it is a function that returns its answer at once: a class makes objects, and nobody would await an `async
    def`."""
    return callable(value) and not isinstance(value, type) and not inspect.iscoroutinefunction(value)


def next_delay(retry: Retry, error: Exception, attempt: int, rand: Callable[[], float]) -> int | None:
    """Milliseconds to wait after `attempt` (from 1) ended with `error`; None gives up. User code that fails here gives up: the
    error of the body is what the user has to see, and it must be recorded. `rand`: of the jitter."""
    if isinstance(error, MisplacedCall):
        return None
    try:
        if isinstance(retry, RetryPolicy):
            return retry.delay_ms(attempt, rand) if apart(retry.retries, error, attempt) else None
        return apart(asked, retry, error, attempt, "retry")
    except Exception:
        _log.exception("the retry of a step failed itself, so the step is not retried")
        return None


def asked(function: Callable[[Any, int], Duration | None], subject: Any, count: int, what: str) -> int | None:
    """Milliseconds. Raises what the function raises, and for an answer that is no duration."""
    delay = function(subject, count)
    return None if delay is None else milliseconds(delay, f"what {what} returned")
