"""Guardrails as steps."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from agents import GuardrailFunctionOutput, InputGuardrail, OutputGuardrail
from pydantic_core import to_jsonable_python

from .tools import Steps

G = TypeVar("G", bound=InputGuardrail[Any] | OutputGuardrail[Any])


def durable_guardrail(guardrail: G, steps: Steps) -> G:
    """`output_info` comes back as JSON."""
    name = f"{steps.name}.{guardrail.get_name()}"
    ask: Callable[..., GuardrailFunctionOutput | Awaitable[GuardrailFunctionOutput]] = guardrail.guardrail_function

    async def durable(*args: Any) -> GuardrailFunctionOutput:
        async def body() -> list[Any]:
            answer = ask(*args)
            said = await answer if inspect.isawaitable(answer) else answer
            return [to_jsonable_python(said.output_info, fallback=str), said.tripwire_triggered]

        info, tripped = await steps.run.step(name, steps.run.next(name), body, steps.settings)
        return GuardrailFunctionOutput(output_info=info, tripwire_triggered=tripped)

    return replace(guardrail, guardrail_function=durable, name=guardrail.get_name())
