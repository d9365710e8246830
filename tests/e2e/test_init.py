"""`durable-fn init`: what it writes is valid, its test passes in an environment of its own, and it overwrites nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from durable_fn.cli import starting_point
from tests.e2e.test_demo import cli
from tests.template import policies
from tests.template.cloudformation import ROOT, load
from tests.template.sam import sam
from tests.template.stage import staged

PAGE = ROOT / "docs" / "add-to-a-stack.md"
WRITTEN = [
    ".gitignore", "Makefile", "README.md", "app/Makefile", "app/__init__.py", "app/handler.py", "app/requirements.txt",
    "requirements-dev.txt", "template.yaml", "tests/test_handler.py",
]  # fmt: skip


def test_a_project_is_written(tmp_path: Path) -> None:
    run = cli("init", str(tmp_path / "new" / "project"), "--json")
    assert run.returncode == 0, run.stderr
    told = {"directory": str(tmp_path / "new" / "project"), "files": WRITTEN}
    assert json.loads(run.stdout) == {"format": "durable_fn.init", "version": 1, **told}
    there = [path for path in (tmp_path / "new" / "project").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path / "new" / "project")) for path in there) == WRITTEN


def test_people_are_told_what_is_next(tmp_path: Path) -> None:
    run = cli("init", str(tmp_path))
    assert run.stdout.splitlines()[-1] == f"Next: cd {tmp_path} && make test"


@pytest.mark.parametrize("name", ["Makefile", "app/handler.py", "template.yaml"])
@pytest.mark.parametrize("link", [False, True])
def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, name: str, link: bool) -> None:
    """Also not through a link that leads nowhere."""
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.symlink_to(tmp_path / "elsewhere") if link else mine.write_text("mine")
    run = cli("init", str(tmp_path))
    assert run.returncode == 1
    assert f"has {name} already, and nothing is overwritten" in " ".join(run.stderr.split())
    assert not (tmp_path / "elsewhere").exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == ([] if link else [mine])


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = cli("init", str(tmp_path / "file" / "project"))
    assert (run.returncode, run.stderr.startswith("Error: ")) == (1, True)
    assert "Traceback" not in run.stderr


# -- the template --------------------------------------------------------------------------------------------------


def test_its_template_is_valid(tmp_path: Path) -> None:
    starting_point.write(tmp_path, starting_point.files())
    run = sam("validate", "--lint", "--region", "eu-central-1", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_snippet_is_its_template_and_what_the_page_shows(tmp_path: Path) -> None:
    (path,) = starting_point.write(tmp_path, starting_point.files(snippet=True))
    snippet, whole = load(path.read_text()), load(starting_point.files()["template.yaml"])
    assert snippet == {"Resources": whole["Resources"]}
    blocks = [block.partition("```")[0] for block in PAGE.read_text().split("```yaml\n")[1:]]
    shown = blocks[0].rstrip() + "\n\n" + blocks[1].rstrip() + "\n"
    assert path.read_text().endswith("Resources:\n" + shown)


def test_its_table_and_queue_are_those_of_the_whole_template() -> None:
    starter, whole = staged(starting_point.files()["template.yaml"]), staged()
    assert starter.properties("Journal") == whole.properties("Journal")
    mine, theirs = starter.properties("WelcomeQueue"), whole.properties("OrderFulfilmentQueue")
    assert {**mine, "RedrivePolicy": None} == {**theirs, "RedrivePolicy": None}
    assert mine["RedrivePolicy"]["maxReceiveCount"] == theirs["RedrivePolicy"]["maxReceiveCount"]
    assert starter.properties("Welcome")["Events"]["Wake"]["Properties"].keys() == (
        whole.properties("OrderFulfilment")["Events"]["Wake"]["Properties"].keys()
    )


def test_its_functions_may_do_what_those_of_the_whole_template_may() -> None:
    """Which are held to what is really done. Without a bucket; SAM itself adds the log and the taking of messages."""
    starter, whole = staged(starting_point.files()["template.yaml"]), staged()
    of_sam = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    for name, role in (("Welcome", "OrderFulfilmentRole"), ("Sweeper", "SweeperRole")):
        given = policies.grants(starter.properties(name)["Policies"])
        wanted = [g for g in policies.of_role(whole, role) if g.action not in of_sam]
        wanted = [g for g in wanted if not g.action.startswith(("s3:", "logs:"))]
        others = (
            "CustomerOnboardingQueue",
            "AiAgentQueue",
            "PydanticAgentQueue",
            "OpenaiAgentQueue",
            "AuditPipelineQueue",
        )
        wanted = [g for g in wanted if not g.resource.endswith(others)]
        assert {(g.action, g.resource.replace("Welcome", "OrderFulfilment")) for g in given} == {
            (g.action, g.resource) for g in wanted
        }
    variables = starter.properties("Welcome")["Environment"]["Variables"]
    theirs = whole.properties("OrderFulfilment")["Environment"]["Variables"]
    assert set(variables) == set(theirs) - {"DURABLE_FN_BUCKET", "DURABLE_FN_DEMO_DIR"}


# -- the project ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheels")
    code = f"import os, hatchling.build as b; os.chdir({str(ROOT)!r}); print(b.build_wheel({str(target)!r}))"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return target


def _environment(wheels: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DURABLE_FN_", "PYTEST_", "AWS_", "MAKE"))}
    return {**kept, "PIP_FIND_LINKS": str(wheels), "PYTHONPATH": "", "PYTHON": sys.executable}


def test_its_own_test_passes_in_an_environment_of_its_own(tmp_path: Path, wheels: Path) -> None:
    """`make test`, as its README says. durable-fn comes from the wheel, the rest from the index."""
    starting_point.write(tmp_path, starting_point.files())
    run = subprocess.run(
        ["make", "test"], capture_output=True, text=True, cwd=tmp_path, env=_environment(wheels), timeout=110
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout
    broken = (tmp_path / "app" / "handler.py").read_text().replace("timedelta(days=3)", "timedelta(days=2)")
    (tmp_path / "app" / "handler.py").write_text(broken)
    again = subprocess.run(["make", "test"], capture_output=True, text=True, cwd=tmp_path, env=_environment(wheels))
    assert "1 failed, 1 passed" in again.stdout, "its test can fail"


def test_a_package_holds_all_of_the_application(tmp_path: Path) -> None:
    """Packages and data too, also such as have a space in their name; not what belongs to the build or is hidden."""
    starting_point.write(tmp_path, starting_point.files())
    app, package = tmp_path / "app", tmp_path / "package"
    wanted = ["__init__.py", "handler.py", "letters/__init__.py", "letters/de/first letter.txt", "letters/Makefile"]
    for name in (*wanted[2:], ".env", "letters/.cache/x", "__pycache__/handler.pyc", "letters/__pycache__/x.pyc"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(name)
    build = ["make", "build-Welcome", "PIP=true", f"ARTIFACTS_DIR={package}"]  # what pip does is the next test's
    run = subprocess.run(build, capture_output=True, text=True, cwd=app)
    assert run.returncode == 0, run.stdout + run.stderr
    files = [path for path in package.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(package / "app")) for path in files) == sorted(wanted)
    assert (package / "app" / "letters" / "de" / "first letter.txt").read_text() == "letters/de/first letter.txt"


def test_its_packages_are_built(tmp_path: Path, wheels: Path) -> None:
    starting_point.write(tmp_path, starting_point.files())
    run = sam("build", cwd=tmp_path, PIP_FIND_LINKS=str(wheels), PYTHONPATH="")
    assert run.returncode == 0, run.stdout + run.stderr
    package = tmp_path / ".aws-sam" / "build" / "Welcome"
    assert {"app", "durable_fn", "pydantic"} <= {path.name for path in package.iterdir()}
    assert not (package / "boto3").exists()
