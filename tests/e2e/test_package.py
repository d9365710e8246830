"""What is built and installed: the wheel, the sdist, their entry points, and what importing the package loads."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def built(root: Path, target: Path, what: str) -> Path:
    """Built in the environment that runs the tests: no index is asked."""
    code = f"import os, hatchling.build as b; os.chdir({str(root)!r}); print(b.build_{what}({str(target)!r}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return target / run.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(built(ROOT, tmp_path_factory.mktemp("wheel"), "wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked."""
    target = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built(ROOT, target, "sdist")) as archive:
        archive.extractall(target, filter="data")
    (root,) = (path for path in target.iterdir() if path.is_dir())
    return root


@pytest.fixture(scope="module")
def site_packages(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip makes of the wheel."""
    target = tmp_path_factory.mktemp("site") / "site-packages"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    run = subprocess.run(
        [*pip, "--no-deps", "--no-index", "--target", str(target), str(wheel.filename)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return target


def files(folder: Path) -> set[str]:
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT / folder)) for path in found}


def metadata(wheel: zipfile.ZipFile) -> Message:
    name = next(n for n in wheel.namelist() if n.endswith("METADATA"))
    return HeaderParser().parsestr(wheel.read(name).decode())


def test_the_wheel_holds_the_package_and_the_demos_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    demos = {f"demos/{name}" for name in files(Path("handlers_demo")) if not Path(name).name.startswith("test_")}
    packed = {name.removeprefix("durable_fn/") for name in names if name.startswith("durable_fn/")}
    assert packed == files(Path("durable_fn")) | demos
    assert {"py.typed", "demos/order_fulfilment/event.json"} <= packed


def test_nothing_but_the_package_is_installed(site_packages: Path) -> None:
    """No `tests`, no `handlers_demo`: those names belong to whoever installs this."""
    assert {path.name.partition("-")[0] for path in site_packages.iterdir()} == {"durable_fn", "bin"}
    assert not list(site_packages.rglob("handlers_demo*"))


def test_the_installed_command_plays_the_demos_that_came_along(site_packages: Path, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DURABLE_FN_")}
    environment |= {"PYTHONPATH": str(site_packages), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "durable_fn.cli", "demo"]
    for more in (["--list", "--json"], ["--speed", "20"]):
        run = subprocess.run([*command, *more], capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert run.returncode == 0, run.stdout + run.stderr
        if "--json" in more:
            assert {row["name"] for row in json.loads(run.stdout)} == {
                path.parent.name for path in (ROOT / "handlers_demo").glob("*/handler.py")
            }
    handler = site_packages / "durable_fn" / "demos" / "order_fulfilment" / "handler.py"
    assert f"The handler is {handler}." in run.stdout


def test_an_editable_installation_is_the_checkout(tmp_path: Path) -> None:
    with zipfile.ZipFile(built(ROOT, tmp_path, "editable")) as archive:
        code = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert [archive.read(name).decode() for name in code] == [str(ROOT)]


def test_the_sdist_is_all_that_a_wheel_is_made_of(sdist: Path, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    with zipfile.ZipFile(built(sdist, tmp_path, "wheel")) as archive:
        assert sorted(archive.namelist()) == sorted(wheel.namelist())


@pytest.mark.parametrize("what", ["wheel", "sdist"])
def test_the_same_sources_make_the_same_bytes(
    what: str, sdist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere, later, and with other rights on files."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    first = built(sdist, tmp_path / "a", what).read_bytes()
    shutil.copytree(sdist, tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(path.stat().st_mode & 0o700)
    assert built(tmp_path / "elsewhere", tmp_path / "b", what).read_bytes() == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000002")
    assert built(sdist, tmp_path / "c", what).read_bytes() != first, "the variable is heeded"


def test_the_readme_on_pypi_leads_to_the_repository(wheel: zipfile.ZipFile) -> None:
    text = str(metadata(wheel).get_payload())
    plain = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == len(re.findall(r"\]\(([^)]+)\)", plain)) > 10
    assert all(link.startswith(("https://", "#")) for link in links)
    sources = re.findall(r'(?:!\[[^\]]*\]\(|src="|srcset=")([^)"]+)', text)
    assert all(source.startswith("https://") and "/blob/" not in source for source in sources)
    assert metadata(wheel)["Description-Content-Type"].startswith("text/markdown")


def test_the_sdist_holds_the_papers_and_the_tests(sdist: Path) -> None:
    papers = {"LICENSE", "README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile"}
    assert papers | {"tests", "docs", "handlers_demo", "template.yaml"} <= {path.name for path in sdist.iterdir()}
    assert not list((sdist / "durable_fn").glob("demos")), "their only source is handlers_demo"


def test_the_licence_goes_along(wheel: zipfile.ZipFile, sdist: Path) -> None:
    text = (ROOT / "LICENSE").read_text()
    data = metadata(wheel)
    assert (data["License-Expression"], data["License-File"]) == ("Apache-2.0", "LICENSE")
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
    assert wheel.read(name).decode() == (sdist / "LICENSE").read_text() == text
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_links_of_the_project(wheel: zipfile.ZipFile) -> None:
    urls = dict(row.split(", ", 1) for row in metadata(wheel).get_all("Project-URL") or [])
    assert set(urls) == {"Source", "Issues", "Documentation", "Changelog"}
    for url in urls.values():
        source, _, path = url.partition("/blob/main/")
        assert source.startswith(urls["Source"])
        assert (ROOT / path).is_file() or not path, url


def test_the_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    data = metadata(wheel)
    assert data["Requires-Python"] == ">=3.11"
    needed = data.get_all("Requires-Dist") or []
    assert sorted(n.split(">=")[0] for n in needed if "extra ==" not in n) == ["boto3", "pydantic"]
    assert set(data.get_all("Provides-Extra") or []) >= {"cli", "testing"}
    entries = wheel.read(next(n for n in wheel.namelist() if n.endswith("entry_points.txt"))).decode()
    assert "durable-fn = durable_fn.cli:main" in entries
    assert "durable_fn = durable_fn.testing.plugin" in entries


def loaded_by(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(run.stdout.split())


def test_importing_it_loads_little() -> None:
    heavy = {
        "boto3",
        "botocore",
        "asyncio",
        "pydantic",
        "typer",
        "rich",
        "sqlite3",
        "pytest",
        "moto",
        "jmespath",
        "aws_lambda_powertools",
    }
    assert not heavy & loaded_by("import durable_fn")
    assert not heavy & loaded_by(
        "from durable_fn import durable, step, DurableContext, RetryPolicy\n"
        "@durable\n"
        "def handler(event, ctx: DurableContext): return ctx.step(len, event)"
    )


def test_a_lambda_on_aws_loads_no_test_tools() -> None:
    loaded = loaded_by(
        "import os\n"
        "os.environ.update(DURABLE_FN_TABLE='t', AWS_REGION='eu-central-1', AWS_ACCESS_KEY_ID='x', AWS_SECRET_ACCESS_KEY='x')\n"
        "from durable_fn.wiring import backend; backend()"
    )
    assert "botocore.client" in loaded
    assert (
        not {"boto3", "sqlite3", "asyncio", "typer", "rich", "moto", "durable_fn.testing", "durable_fn.backends.sqlite"}
        & loaded
    )
