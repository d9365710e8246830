"""A Lambda function: environments that are started when none is free, and used again when one is."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from .answers import MOST_PAYLOAD, Answer
from .environment import Environment
from .guard import Guard

_REGION: Final = "eu-central-1"
_ACCOUNT: Final = "123456789012"


class LambdaFunction:
    """A context manager; all that it started ends with it.

    handler    "package.module.attribute", as Lambda names it, importable from `task_root` (default: the working directory).
    timeout    seconds; then the environment is killed. Unlike Lambda's, it may be a fraction of a second.
    grace      seconds from that deadline, as the function is told it, to the kill, for tests about what it does until then.
    variables  the function's environment variables. Nothing else is inherited but PATH, so that no credentials of yours
               reach it; what Lambda sets is set, with keys that AWS does not know.
    freezes    False leaves environments running between invocations.
    directory  where logs and the environments' own TMPDIRs are kept; by default a temporary one.
    """

    def __init__(
        self,
        handler: str,
        *,
        name: str = "function",
        timeout: float = 3,
        grace: float = 0,
        variables: Mapping[str, str] | None = None,
        task_root: Path | str | None = None,
        directory: Path | None = None,
        python: str = sys.executable,
        freezes: bool = True,
    ) -> None:
        if timeout <= 0:
            raise ValueError(f"timeout must be above 0 seconds, got {timeout}")
        if python == sys.executable and importlib.util.find_spec("awslambdaric") is None:
            raise RuntimeError("the Lambda runtime is not installed: pip install awslambdaric")
        self.handler = handler
        self.name = name
        self.timeout = timeout
        self.grace = grace
        self.arn = f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:function:{name}"
        self.variables = dict(variables or {})
        self._task_root = Path(task_root or Path.cwd()).resolve()
        self._own = tempfile.TemporaryDirectory(prefix="durable-fn-lambda-") if directory is None else None
        self._directory = Path(self._own.name) if self._own else directory or Path()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._python = python
        self._freezes = freezes
        self._lock = threading.Lock()
        self._environments: list[Environment] = []
        self._guard: Guard | None = None
        self._closed = False

    def __enter__(self) -> LambdaFunction:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Kills what runs. Invocations that are under way answer that their runtime has exited."""
        with self._lock:
            self._closed = True
        for environment in self._environments:
            environment.close()
        if self._guard is not None:
            self._guard.close()
        if self._own is not None:
            self._own.cleanup()

    # -- invocations -----------------------------------------------------------------------------------------------

    def invoke(self, event: object, *, request_id: str | None = None) -> Answer:
        """A synchronous invocation. ValueError for an event above 6 MB, which Lambda refuses."""
        payload = json.dumps(event, ensure_ascii=False).encode()
        if len(payload) > MOST_PAYLOAD:
            raise ValueError(f"the event is {len(payload):,} bytes; Lambda takes at most {MOST_PAYLOAD:,}")
        environment = self._take()
        return environment.invoke(request_id or str(uuid.uuid4()), payload, self.arn, self.timeout, self.grace)

    def invoke_later(self, event: object, *, request_id: str | None = None) -> Future[Answer]:
        """The same in a thread, for tests that do something meanwhile."""
        future: Future[Answer] = Future()

        def run() -> None:
            try:
                future.set_result(self.invoke(event, request_id=request_id))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    def _take(self) -> Environment:
        """The one that was used last, as Lambda does, or a new one."""
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the function {self.name!r} is closed")
            for environment in reversed(self._environments):
                if environment.reserve():
                    self._environments.remove(environment)
                    self._environments.append(environment)
                    return environment
            environment = self._start()
            self._environments.append(environment)
            return environment

    @property
    def environments(self) -> list[Environment]:
        """Those that are alive; the one that was used last comes last."""
        return [environment for environment in self._all() if environment.state != "over"]

    @property
    def busy(self) -> list[Environment]:
        """Those whose handler runs."""
        return [environment for environment in self._all() if environment.request_id is not None]

    @property
    def starts(self) -> int:
        """Cold starts."""
        return len(self._environments)

    def logs(self) -> str:
        """What all environments, also the dead ones, have written."""
        return "\n".join(environment.log.read_text(errors="replace") for environment in self._all())

    def _all(self) -> list[Environment]:
        with self._lock:
            return list(self._environments)

    def _start(self) -> Environment:
        stream = f"{len(self._environments):04d}"
        temporary = self._directory / f"tmp-{self.name}-{stream}"
        temporary.mkdir()
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        variables = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(temporary),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "LAMBDA_TASK_ROOT": str(self._task_root),
            "_HANDLER": self.handler,
            **self.variables,
        }
        self._guard = self._guard or Guard()
        command = [self._python, "-m", "awslambdaric", self.handler]
        log = self._directory / f"{self.name}-{stream}.log"
        return Environment(command, variables, self._task_root, log, self._guard, freezes=self._freezes)
