"""The commands that the pages about `dev` and `ui` show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.docs.test_guide import blocks
from tests.local.servers import Server

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
LOCAL, DASHBOARD = GUIDE / "local-development.md", GUIDE / "dashboard.md"


def commands(page: Path, beginning: str) -> list[str]:
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", "").splitlines()]
    return [line for line in lines if line.startswith(beginning)]


def test_the_local_page_as_a_reader_would(tmp_path: Path, servers: list[Server]) -> None:
    (program,) = blocks(LOCAL, "python")
    (tmp_path / "app.py").write_text(program)
    (start,) = commands(LOCAL, "durable-fn dev")
    servers.append(server := Server(tmp_path, *start.split()[1:], "--port", "0", "--no-open"))
    url = server.ready()
    assert shutil.which("curl")
    answers = []
    for command in commands(LOCAL, "curl"):
        told = command.replace("http://127.0.0.1:8700", url)
        run = subprocess.run(told, shell=True, capture_output=True, text=True, check=True)
        answers.append(json.loads(run.stdout))
    assert answers[0] == {"execution_id": "o-1", "status": "SUSPENDED"}
    assert answers[1] == "charged o-1"
    assert answers[2]["execution"]["status"] == "SUCCEEDED"
    assert (tmp_path / ".durable-fn" / ".gitignore").read_text() == "*\n"
    assert server.end() == 0


def test_the_dashboards_page_as_a_reader_would(tmp_path: Path, servers: list[Server]) -> None:
    import sys

    from tests.local.servers import ROOT, ask

    (program,) = blocks(DASHBOARD, "python")
    (tmp_path / "page.py").write_text(program)
    subprocess.run([sys.executable, "page.py"], cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)})
    show = commands(DASHBOARD, "durable-fn ui --backend")[0]
    servers.append(server := Server(tmp_path, *show.split()[1:], "--port", "0", "--no-open"))
    url = server.until("dashboard")["url"]
    status, found = ask(f"{url}/api/executions")
    assert (status, [row["name"] for row in found["executions"]]) == (200, ["refunds"])


def test_every_option_of_the_pages_exists() -> None:
    from typer.main import get_command

    from durable_fn.cli.app import app

    commands_: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    served = [parameter for name in ("dev", "worker", "ui") for parameter in commands_[name].params]
    known = {option for parameter in served for option in (*parameter.opts, *parameter.secondary_opts)}
    others = {"--endpoint-url", "--function-name"}  # of the AWS command line
    for page in (LOCAL, DASHBOARD):
        used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text()))
        assert used - others <= known
