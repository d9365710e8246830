"""The demo that DEMO names, with a witness: a hook that writes down when each body begins, in the file WITNESS."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import time
from contextlib import AbstractContextManager

from durable_fn import Hooks, configure
from durable_fn.hooks import AttemptInfo


class Witness(Hooks):
    def attempt(self, info: AttemptInfo, /) -> AbstractContextManager[object]:
        line = json.dumps([info.execution_id, info.operation_id, info.name, time.time(), os.getpid()])
        with open(os.environ["WITNESS"], "ab", buffering=0) as file:
            file.write(line.encode() + b"\n")
        return contextlib.nullcontext()


configure(hooks=(Witness(),))
handler = importlib.import_module(f"handlers_demo.{os.environ['DEMO']}.handler").handler
