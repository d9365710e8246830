"""Handlers that were written for Lambda: how one is told from a handler of payloads, and the classes that read its events."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from ..errors import SerializationError
from .annotations import UNTYPED, parameter_annotation, plain_function

_POWERTOOLS: Final = "aws_lambda_powertools.utilities.data_classes"
_TYPED_DICTS: Final = "aws_lambda_typing"
_OF_LAMBDA: Final = ("aws_lambda_powertools.", "aws_lambda_typing", "awslambdaric")
_ANYTHING: Final = (inspect.Parameter.empty, Any, "Any", "typing.Any")


def takes_raw_events(fn: Callable[..., Any]) -> bool:
    """Whether its second parameter is a Lambda context, or its event one of the classes for Lambda's events."""
    return _takes_lambda_context(fn) or is_event_class(_resolved(fn, 0))


def _takes_lambda_context(fn: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(plain_function(fn)).parameters.values())
    if len(parameters) < 2:
        return False
    written, annotation = parameters[1].annotation, _resolved(fn, 1)
    if annotation is not UNTYPED and isinstance(annotation, type):
        return annotation.__name__ == "LambdaContext" or annotation.__module__.startswith(_OF_LAMBDA)
    if written not in _ANYTHING:  # it cannot be resolved: an import for checkers only
        return str(written).strip("'\"").rpartition(".")[2] == "LambdaContext"
    return parameters[1].name == "context"


def _resolved(fn: Callable[..., Any], index: int) -> Any:
    """UNTYPED where it cannot be: a handler that is called says so."""
    try:
        return parameter_annotation(fn, index)
    except SerializationError:
        return UNTYPED


def is_event_class(annotation: Any) -> bool:
    """Of Powertools, or a TypedDict of aws-lambda-typing; also what is made of one."""
    return isinstance(annotation, type) and any(
        base.__module__.startswith((_POWERTOOLS, _TYPED_DICTS)) for base in annotation.__mro__
    )
