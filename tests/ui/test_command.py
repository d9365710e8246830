"""`durable-fn ui`: what cannot be shown is said, and nothing is made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from durable_fn.cli.app import app
from durable_fn.cli.web import guard, with_token


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backend", "sqlite:///none.db"], "there is no journal"),
        (["--backend", "sqlite:///none.db", "--allow-changes"], "there is no journal"),
        (["--backend", "mysql://x"], "must look like"),
        ([], "DURABLE_FN_TABLE is not set"),
    ],
)
def test_what_cannot_be_shown_is_said(
    tmp_path: Path, words: list[str], said: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DURABLE_FN_")]:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit) as ended:
        app(["ui", "--no-open", "--port", "0", *words])
    assert ended.value.code == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "desk.example"])
def test_anything_but_this_machine_needs_a_token(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURABLE_FN_UI_TOKEN", raising=False)
    found = guard(host, (), ())
    assert found.token is not None
    assert len(found.token) >= 32
    assert found.token != guard(host, (), ()).token
    assert with_token("http://x", found.token) == f"http://x/#token={found.token}"
    for here in ("127.0.0.1", "localhost", "::1"):
        assert guard(here, (), ()).token is None
    monkeypatch.setenv("DURABLE_FN_UI_TOKEN", "mine")
    assert guard(host, (), ()).token == guard("127.0.0.1", (), ()).token == "mine"
