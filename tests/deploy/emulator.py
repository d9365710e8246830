"""ministack as a process of its own on a free port of loopback (`make .venv-ministack/.installed` installs it)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.template.cloudformation import ROOT

PYTHON = Path(os.environ.get("MINISTACK_PYTHON", ROOT / ".venv-ministack" / "bin" / "python"))


def runtime() -> str:
    """What its functions run on: its own Python, whatever they ask for."""
    code = "import sys; print('python%d.%d' % sys.version_info[:2])"
    return subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextlib.contextmanager
def ministack(directory: Path) -> Iterator[str]:
    """Its endpoint. Everything it starts ends with it, and its log stays in the directory."""
    assert PYTHON.exists(), f"{PYTHON} is missing: run `make .venv-ministack/.installed`, or set MINISTACK_PYTHON"
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "AWS_REGION": "eu-central-1",
    }
    with (directory / "ministack.log").open("wb") as log:
        server = subprocess.Popen(
            [str(PYTHON), str(ROOT / "localstack" / "ministack.py"), str(port)],
            stdout=log, stderr=log, env=environment, cwd=directory, start_new_session=True,
        )  # fmt: skip
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait_for(endpoint, server)
        yield endpoint
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # its Lambda workers are in its group
        server.wait()


def _wait_for(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "ministack ended by itself; see ministack.log"
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1)
            return
        time.sleep(0.1)
    raise AssertionError("ministack does not answer")
