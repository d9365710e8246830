"""A dashboard on a runner's journal, asked as a browser asks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from durable_fn.testing import LocalRunner
from durable_fn.ui.api import api
from durable_fn.ui.dashboard import Dashboard
from durable_fn.ui.guard import Guard
from durable_fn.ui.messages import Answer, Request
from durable_fn.ui.world import World

OWN = {"host": "127.0.0.1:8700", "sec-fetch-site": "same-origin"}


class Desk:
    def __init__(
        self,
        runner: LocalRunner,
        guard: Guard | None = None,
        *,
        read_only: bool = False,
        served: list[str] | None = None,
    ) -> None:
        world = World(runner.backend, "a journal", read_only, served=lambda: served)
        self.dashboard = Dashboard(api(world), guard or Guard())

    def send(self, method: str, address: str, data: Any = None, **headers: str) -> Answer:
        parts = urlsplit(address)
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {} if data is None else {"content-type": "application/json", "x-durable-fn": "1"}
        body = b"" if data is None else json.dumps(data).encode()
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return self.dashboard.answer(Request(method, parts.path, query, {**OWN, **sent, **more}, body, "ada"))

    def get(self, address: str, status: int = 200, **headers: str) -> Any:
        return self._read(self.send("GET", address, **headers), status)

    def post(self, action: str, data: Any, status: int = 200, **headers: str) -> Any:
        return self._read(self.send("POST", f"/api/{action}", data, **headers), status)

    def _read(self, answer: Answer, status: int) -> Any:
        assert answer.status == status, (answer.status, answer.body)
        return json.loads(answer.body) if answer.body else None
