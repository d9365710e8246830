"""ministack, an emulator of AWS without Docker, as a process of its own on a free port of loopback.

`make .venv-ministack/.installed` installs it; MINISTACK_PYTHON names another Python that has it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = Path(os.environ.get("MINISTACK_PYTHON", ROOT / ".venv-ministack" / "bin" / "python"))
_PATIENCE_S = 30


def missing() -> str | None:
    """What is to be done where it is not installed."""
    return (
        None
        if PYTHON.exists()
        else f"{PYTHON} is missing: run `make .venv-ministack/.installed`, or set MINISTACK_PYTHON"
    )


@contextlib.contextmanager
def ministack(directory: Path) -> Iterator[str]:
    """Its endpoint. Its log stays in the directory. RuntimeError if it does not start."""
    why = missing()
    if why:
        raise RuntimeError(why)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    folder = str(directory)
    variables = {"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, "AWS_REGION": "eu-central-1"}
    with (directory / "ministack.log").open("wb") as log:
        server = subprocess.Popen(
            [str(PYTHON), str(ROOT / "localstack" / "ministack.py"), str(port)],
            stdout=log,
            stderr=log,
            env=variables,
            cwd=directory,
            start_new_session=True,
        )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait_for(endpoint, server)
        yield endpoint
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("ministack does not answer; see ministack.log")
