"""Which durable functions a path has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from durable_fn.cli.app import app
from durable_fn.local.discovery import NothingFound, find, watched

HANDLER = "from durable_fn import durable\n\n@durable(name={name!r})\ndef handler(event, ctx): ...\n"


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def places(*targets: object) -> dict[str, str]:
    return {name: found.place for name, found in find([*map(str, targets)]).items()}


def test_a_file(tmp_path: Path) -> None:
    assert places(write(tmp_path / "d_app.py", HANDLER.format(name="orders"))) == {"orders": "d_app:handler"}


def test_a_file_in_a_package_keeps_its_relative_imports(tmp_path: Path) -> None:
    write(tmp_path / "d_shop" / "__init__.py", "")
    write(tmp_path / "d_shop" / "names.py", "NAME = 'orders'\n")
    text = "from .names import NAME\n" + HANDLER.replace("{name!r}", "NAME")
    assert places(write(tmp_path / "d_shop" / "handler.py", text)) == {"orders": "d_shop.handler:handler"}


def test_a_directory_imports_only_what_makes_something_durable(tmp_path: Path) -> None:
    write(tmp_path / "d_one" / "a.py", HANDLER.format(name="a"))
    write(tmp_path / "d_one" / "deep" / "b.py", "import durable_fn as df\n\n@df.durable\ndef b(event, ctx): ...\n")
    write(
        tmp_path / "d_one" / "c.py", "import durable_fn\n\nc = durable_fn.durable(name='c')(lambda event, ctx: None)\n"
    )
    for name in ("script.py", "test_a.py", ".venv/lib.py", "tests/x.py", "node_modules/x.py"):
        write(tmp_path / "d_one" / name, "raise SystemExit('imported')\n# durable_fn @durable")
    write(tmp_path / "d_one" / "client.py", "from durable_fn import DurableClient\nraise SystemExit('imported')\n")
    assert places(tmp_path / "d_one") == {"a": "a:handler", "b": "deep.b:b", "c": "c:c"}


def test_a_module_and_one_name_of_it(tmp_path: Path) -> None:
    write(tmp_path / "d_two.py", HANDLER.format(name="a") + "\nother = durable(name='b')(handler.__wrapped__)\n")
    sys.path.insert(0, str(tmp_path))
    assert places("d_two") == {"a": "d_two:handler", "b": "d_two:other"}
    assert places("d_two:other") == {"b": "d_two:other"}
    for wrong, said in (("d_two:durable", "d_two:durable is a function"), ("d_two:nope", "d_two:nope is missing")):
        with pytest.raises(NothingFound, match=said):
            find([wrong])


def test_what_is_only_imported_is_served_where_it_is_made(tmp_path: Path) -> None:
    write(tmp_path / "d_three" / "d_made.py", HANDLER.format(name="a"))
    write(
        tmp_path / "d_three" / "d_uses.py",
        "from d_made import handler\n" + HANDLER.replace("handler", "own").format(name="b"),
    )
    assert places(tmp_path / "d_three") == {"a": "d_made:handler", "b": "d_uses:own"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import durable_fn\nx = 1\n", "has no|none of these"),
        ("import nothing_of_this_name\n# durable_fn\n", "ModuleNotFoundError: .*d_bad.py, line 1"),
        ("\n\n1 / 0\n", r"ZeroDivisionError: division by zero \(.*d_bad.py, line 3\)"),
        ("def x(:\n", "SyntaxError: .*d_bad.py, line 1"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_what_cannot_be_loaded_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(NothingFound, match=said):
        find([str(write(tmp_path / "d_bad.py", text))])


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write(tmp_path / "d_twice" / f"{name}.py", HANDLER.format(name="same"))
    with pytest.raises(NothingFound, match="named 'same': x:handler and y:handler"):
        find([str(tmp_path / "d_twice")])


@pytest.mark.parametrize("target", ["no/such.py", "gone.py"])
def test_what_is_not_there_is_said(target: str) -> None:
    with pytest.raises(NothingFound, match="there is no"):
        find([target])


def test_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match="no file below"):
        find([str(tmp_path)])


def test_what_is_watched(tmp_path: Path) -> None:
    write(tmp_path / "d_pkg" / "__init__.py", "")
    path = write(tmp_path / "d_pkg" / "sub.py", HANDLER.format(name="a"))
    assert watched([str(path)]) == [tmp_path, tmp_path / "d_pkg"]
    assert watched(["some.module"]) == [tmp_path]


def test_a_missing_package_is_said_before_a_journal_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DURABLE_FN_BACKEND", raising=False)
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    said = CliRunner().invoke(app, ["dev", "app.py"])
    assert (said.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "this needs watchfiles, which is not installed: pip install 'durable-fn[local]'" in said.output
