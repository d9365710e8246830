"""How a demo goes: what it begins with, who does what outside and when, when its workers die, what must have happened in the end.

`durable-fn demo` plays a script in real processes; tests play the same one on the embedded journal and on a local cloud.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from durable_fn import DurableClient, DurableFunction
from durable_fn.types import ExecutionStatus, HistoryEvent

from .systems import ExternalSystem

NAMES: Final = (
    "order_fulfilment", "customer_onboarding", "ai_agent", "ai_agent_pydantic", "ai_agent_openai", "audit_pipeline",
)  # fmt: skip
EXTRAS: Final = {"ai_agent_pydantic": "pydantic-ai", "ai_agent_openai": "openai-agents"}
"""What has to be installed for a demo besides the package."""

History = Sequence[HistoryEvent]
Moment = Callable[[History], bool]
"""True from some point of the history on."""


def after(step: str, times: int = 1) -> Moment:
    """From when a step of this name has succeeded so often."""

    def reached(history: History) -> bool:
        return sum(event.name == step and event.status == "SUCCEEDED" for event in history) >= times

    return reached


@dataclass(frozen=True)
class Act:
    """Something that somebody outside does, once, as soon as its moment has come."""

    who: str
    what: str
    when: Moment
    do: Callable[[DurableClient, str], object]
    """Gets a client and the execution id."""


@dataclass(frozen=True)
class Scene:
    """One way for the demo to go.

    `changes`: to the sample event. `prepare`: brings the systems into their state. `kills`: when the worker of the time is
    killed. `effects`: what must have happened in the systems, of the event and the result; None where nobody can know.
    """

    summary: str
    kills: tuple[Moment, ...]
    effects: Callable[[Any, Any], Mapping[str, int] | None]
    acts: tuple[Act, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[], object] = lambda: None
    status: ExecutionStatus = "SUCCEEDED"


@dataclass(frozen=True)
class Progress:
    """For a fan too wide to show each branch: branches of this operation are counted instead."""

    operation: str
    total: Callable[[Any], int]
    """Of the event."""


@dataclass(frozen=True)
class Script:
    """`scenes`: the first one is played unless another is asked for. `pace`: how much faster than real time its clock runs
    at speed 1; `most_speed`: what it can be sped up to. `latency`: seconds that a call of a system takes."""

    name: str
    title: str
    event_type: type[BaseModel]
    id: Callable[[Any], str]
    begins: Callable[[Any], str]
    systems: tuple[ExternalSystem, ...]
    scenes: Mapping[str, Scene]
    pace: float = 1
    most_speed: float = 100
    latency: float = 0.5
    progress: Progress | None = None
    result_name: str = "result"
    keeps: Callable[[DurableClient, str, Path], Mapping[str, str]] | None = None
    """What is made of the finished execution in a directory, with what is to be said about it."""

    @property
    def handler(self) -> DurableFunction[Any, Any]:
        """Imported when it is asked for: some demos stand on a framework. ValueError says what to install for it."""
        try:
            module = import_module(f"{__package__}.{self.name}.handler")
        except ImportError as missing:
            if self.name not in EXTRAS:
                raise
            raise ValueError(f"{missing}; for this demo: pip install 'durable-fn[{EXTRAS[self.name]}]'") from missing
        handler: DurableFunction[Any, Any] = module.handler
        return handler

    @property
    def target(self) -> str:
        """The handler as workers and Lambda name it."""
        return f"{__package__}.{self.name}.handler:handler"

    def scene(self, name: str = "") -> Scene:
        """ValueError names the scenes that exist."""
        if name in self.scenes:
            return self.scenes[name]
        if not name:
            return next(iter(self.scenes.values()))
        raise ValueError(f"the demo {self.name} has no scene {name!r}; it has {', '.join(self.scenes)}")

    def event(self, scene: Scene, changes: Mapping[str, Any] | None = None) -> Any:
        """The sample event with the scene's changes and these. ValueError says what does not fit."""
        sample = json.loads((resources.files(f"{__package__}.{self.name}") / "event.json").read_text("utf-8"))
        unknown = set(changes or {}) - set(self.event_type.model_fields)
        if unknown:
            fields = ", ".join(self.event_type.model_fields)
            raise ValueError(f"the event of {self.name} has no {', '.join(sorted(unknown))}; it has {fields}")
        return self.event_type.model_validate({**sample, **scene.changes, **(changes or {})})


class Play:
    """A scene while it goes on: which acts are still to come."""

    def __init__(self, scene: Scene) -> None:
        self._left = list(scene.acts)

    def next(self, history: History) -> Act | None:
        """The act whose moment has come. It is not given out again."""
        for act in self._left:
            if act.when(history):
                self._left.remove(act)
                return act
        return None


def load(name: str) -> Script:
    """ValueError names the demos that exist."""
    if name not in NAMES:
        raise ValueError(f"no demo {name!r}; there are {', '.join(NAMES)}")
    script: Script = import_module(f"{__package__}.{name}.script").SCRIPT
    return script
