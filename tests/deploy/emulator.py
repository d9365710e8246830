"""Which runtime the emulator's functions have."""

from __future__ import annotations

import subprocess

from benchmarks.emulator import PYTHON


def runtime() -> str:
    """Its own Python, whatever they ask for."""
    code = "import sys; print('python%d.%d' % sys.version_info[:2])"
    return subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
