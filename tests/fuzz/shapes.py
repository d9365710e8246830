"""How programs of both fronts name what they get."""

from __future__ import annotations

from typing import Any

from durable_fn import Completion

TOLERANCES = {
    "all": None,
    "settled": Completion.all_settled(),
    "one": Completion(min_successful=1),
    "ratio": Completion(max_failure_ratio=0.5),
}


def called(error: BaseException | None) -> str | None:
    return None if error is None else type(error).__qualname__


def shown(batch: Any) -> list[Any]:
    return [[item.status, item.result, called(item.error)] for item in batch.items] + [batch.completion_reason]
