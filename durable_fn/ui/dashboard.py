"""The dashboard as a function from a request to an answer: its guard, its page, and an API behind them, here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .guard import PAGE_HEADERS, Guard
from .messages import Answer, Refused, Request, refusal
from .page import page

Api = Callable[[Request], Answer]


@dataclass(frozen=True)
class Dashboard:
    """`api`: `api.api(world)` for a backend, `remote.Remote` for one behind a function URL."""

    api: Api
    guard: Guard

    def answer(self, request: Request) -> Answer:
        """Never raises."""
        found = self._answer(request)
        return Answer(found.status, b"" if request.method == "HEAD" else found.body, {**PAGE_HEADERS, **found.headers})

    def _answer(self, request: Request) -> Answer:
        try:
            self.guard.check_host(request)
            if not request.path.startswith("/api/"):
                return self._page(request)
            self.guard.check_site(request)
            self.guard.check_token(request)
            self.guard.check_change(request)
        except Refused as refused:
            return refusal(refused)
        return self.api(request)

    def _page(self, request: Request) -> Answer:
        """It holds no data, so everybody may have it: it is what asks for the token."""
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "the page is read with GET")
        self.guard.check_site(request, navigable=True)
        found = page(request.path, request.headers.get("if-none-match", ""))
        if found is None:
            raise Refused(404, "there is no such page")
        return found
