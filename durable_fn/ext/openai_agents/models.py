"""Requests to models as steps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from agents import Model, ModelProvider, ModelResponse
from agents.items import TResponseStreamEvent
from pydantic import TypeAdapter

from ..agent_runs import Run
from ..step_settings import StepSettings


@cache
def adapter(of: Any) -> TypeAdapter[Any]:
    """Made when a run begins, not when an answer is there: it takes time."""
    return TypeAdapter(of)


def dumped(of: Any, value: Any) -> Any:
    """JSON without what the provider did not say."""
    return adapter(of).dump_python(value, mode="json", exclude_unset=True, warnings=False)


class StepModel(Model):
    """A model whose answers are recorded."""

    def __init__(self, model: Model, run: Run, name: str, settings: StepSettings) -> None:
        self._model = model
        self._run = run
        self._name = name
        self._settings = settings
        adapter(ModelResponse)
        adapter(TResponseStreamEvent)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        async def ask() -> Any:
            return dumped(ModelResponse, await self._model.get_response(*args, **kwargs))

        answer: ModelResponse = adapter(ModelResponse).validate_python(await self._step(ask))
        return answer

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        """All events, in their order, once they are recorded."""

        async def listen() -> list[Any]:
            stream = self._model.stream_response(*args, **kwargs)
            return [dumped(TResponseStreamEvent, event) async for event in stream]

        for event in await self._step(listen):
            yield adapter(TResponseStreamEvent).validate_python(event)

    async def _step(self, body: Any) -> Any:
        return await self._run.step(self._name, self._run.next(self._name), body, self._settings)

    async def close(self) -> None:
        await self._model.close()


class StepProvider(ModelProvider):
    """Models by their names."""

    def __init__(self, provider: ModelProvider, run: Run, name: str, settings: StepSettings) -> None:
        self._provider = provider
        self._rest = run, name, settings

    def get_model(self, model_name: str | None) -> Model:
        return StepModel(self._provider.get_model(model_name), *self._rest)

    async def aclose(self) -> None:
        await self._provider.aclose()
