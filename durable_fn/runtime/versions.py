"""The version of the code that an invocation runs, for the history."""

from __future__ import annotations

import functools
import hashlib
import os
from typing import Any, Final

from ..core.function import DurableFunction

VERSION_VARIABLE: Final = "DURABLE_FN_CODE_VERSION"
_LATEST: Final = "$LATEST"


def code_version(function: DurableFunction[Any, Any]) -> str:
    """The value of the variable (a commit, say), else the published version of the Lambda function, else a hash of the
    handler's own file, which does not cover the modules that it imports. Empty if none of these is there."""
    given = os.environ.get(VERSION_VARIABLE)
    if given:
        return given
    published = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", _LATEST)
    if published != _LATEST:
        return published
    code = getattr(function.__wrapped__, "__code__", None)
    return "" if code is None else _of_file(code.co_filename)


@functools.cache
def _of_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.blake2b(file.read(), digest_size=4).hexdigest()
    except OSError:  # typed into a console, or shipped without its source
        return ""
