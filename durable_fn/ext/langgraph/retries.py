"""A node's retry policies as the policy of a step."""

from __future__ import annotations

import random
from collections.abc import Sequence

from langgraph.types import RetryPolicy

from ... import Retry


def as_retry(policies: Sequence[RetryPolicy]) -> Retry:
    """The first that knows the error says whether there is another attempt, and when: it is waited for durably."""

    def delay(error: Exception, attempt: int) -> float | None:
        for policy in policies:
            if _knows(policy, error):
                if attempt >= policy.max_attempts:
                    return None
                wait = min(policy.initial_interval * policy.backoff_factor ** (attempt - 1), policy.max_interval)
                return wait + (random.uniform(0, 1) if policy.jitter else 0)
        return None

    return delay


def _knows(policy: RetryPolicy, error: Exception) -> bool:
    wanted = policy.retry_on
    if isinstance(wanted, type):
        return isinstance(error, wanted)
    return isinstance(error, tuple(wanted)) if isinstance(wanted, Sequence) else bool(wanted(error))
