"""Options that an agent framework's operations have as steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, cast

from .. import Retry, step
from ..types import Duration, Semantics


class StepSettings(TypedDict, total=False):
    """What `@step` takes, without the name and the key, which the framework's operation has of its own."""

    retry: Retry | None
    timeout: Duration | None
    semantics: Semantics
    raises: tuple[type[Exception], ...]


def checked(settings: Mapping[str, Any], what: str) -> StepSettings:
    """TypeError or ValueError for what `@step` would not take. `what`: whose options these are."""
    unknown = set(settings) - set(StepSettings.__annotations__)
    if unknown:
        known = ", ".join(StepSettings.__annotations__)
        raise TypeError(f"{what} has no option {', '.join(sorted(map(repr, unknown)))}; there are {known}")
    try:
        step(**settings)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what}: {error}") from error
    return cast(StepSettings, dict(settings))


def over(mine: StepSettings, base: StepSettings) -> StepSettings:
    """Both, the first winning; classes in `raises` come together."""
    return {**base, **mine, "raises": (*base.get("raises", ()), *mine.get("raises", ()))}
