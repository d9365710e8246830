"""Errors that `raises=` names come back the same in every invocation: as their class or the nearest that can be found again, with
their text and each attribute that can be stored."""

from __future__ import annotations

import dataclasses
import gc
import http.client
import io
import json
import re
import subprocess
import threading
import urllib.error
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pydantic import BaseModel, ValidationError

from durable_fn import AsyncDurableContext, DurableContext, RetryPolicy, durable, step
from durable_fn.errors import StepError
from durable_fn.testing import LocalRunner
from tests.values.handlers import FRONTS


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def caught(
    front: str,
    make: Callable[[], Exception],
    raises: tuple[type[Exception], ...],
    then: Callable[[], Any] = lambda: None,
) -> list[Exception]:
    """What the handler caught, in each invocation."""
    found: list[Exception] = []

    @step(raises=raises, retry=RetryPolicy(max_attempts=1))
    def body() -> None:
        raise make()

    @durable(name="fails")
    def plain(event: Any, ctx: DurableContext) -> None:
        try:
            ctx.step(body)
        except Exception as error:
            found.append(error)
        then()
        ctx.sleep(100)

    @durable(name="fails")
    async def native(event: Any, ctx: AsyncDurableContext) -> None:
        try:
            await ctx.step(body)
        except Exception as error:
            found.append(error)
        then()
        await ctx.sleep(100)

    with LocalRunner(plain if front == "def" else native) as runner:
        assert runner.run(None).status == "SUCCEEDED"
    assert len(found) > 1
    return found


class Slots(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class KeywordsOnly(Exception):
    def __init__(self, *, code: int, detail: Any) -> None:
        self.code, self.detail = code, detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class OwnNew(Exception):
    def __new__(cls, code: int, *, more: int) -> OwnNew:
        made = super().__new__(cls, code)
        made.more = more
        return made

    def __init__(self, code: int, *, more: int) -> None:
        super().__init__(f"c{code}")

    more: int


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Immutable(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("immutable")


class Property(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self._code = code

    @property
    def code(self) -> int:
        return self._code


def _noted() -> Exception:
    error = ValueError("a")
    error.add_note("look here")
    return error


RESPONSE: Any = {"Error": {"Code": "Throttled", "Message": "slow"}, "ResponseMetadata": {"RequestId": "1"}}
WHOLE: list[tuple[Callable[[], Exception], type[Exception], tuple[str, ...]]] = [
    (lambda: FileNotFoundError(2, "none", "/a"), OSError, ("errno", "strerror", "filename", "filename2")),
    (lambda: OSError(18, "across", "a", None, "b"), OSError, ("errno", "filename", "filename2")),
    (lambda: BlockingIOError(11, "again", 5), OSError, ("characters_written",)),
    (
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        UnicodeError,
        ("object", "start", "reason", "encoding"),
    ),
    (lambda: KeyError(("a", 1)), LookupError, ()),
    (lambda: ImportError("a", name="n", path="p"), ImportError, ("name", "path", "msg")),
    (lambda: SyntaxError("bad", ("f", 1, 2, "t")), SyntaxError, ("filename", "lineno", "text")),
    (lambda: json.JSONDecodeError("bad", '{"a', 3), ValueError, ("doc", "pos", "lineno", "msg")),
    (
        lambda: subprocess.CalledProcessError(3, ["a"], b"o", "e"),
        subprocess.CalledProcessError,
        ("returncode", "stdout"),
    ),
    (lambda: http.client.IncompleteRead(b"abc", 5), http.client.HTTPException, ("partial", "expected")),
    (lambda: Slots(4), Slots, ("code",)),
    (lambda: KeywordsOnly(code=4, detail={"a": Decimal("1.0")}), KeywordsOnly, ("code", "detail")),
    (lambda: OwnNew(4, more=5), OwnNew, ("more",)),
    (lambda: Frozen(4), Frozen, ("code",)),
    (lambda: Immutable(4), Immutable, ()),
    (lambda: Property(4), Property, ("code",)),
    (lambda: ClientError(RESPONSE, "Put"), ClientError, ("response", "operation_name")),
    (lambda: EndpointConnectionError(endpoint_url="http://a"), EndpointConnectionError, ("kwargs",)),
    (_noted, ValueError, ("__notes__",)),
]


@pytest.mark.parametrize(("make", "named", "attributes"), WHOLE, ids=lambda part: getattr(part, "__name__", None))
def test_it_comes_back_whole(front: str, make: Any, named: type[Exception], attributes: tuple[str, ...]) -> None:
    expected = make()
    for error in caught(front, make, (named,)):
        assert type(error) is type(expected)
        assert str(error) == str(expected)
        assert error.args == expected.args
        assert [getattr(error, name) for name in attributes] == [getattr(expected, name) for name in attributes]


def test_an_error_inside(front: str) -> None:
    for error in caught(front, lambda: urllib.error.URLError(OSError(2, "none", "/a")), (urllib.error.URLError,)):
        assert isinstance(error, urllib.error.URLError)
        assert (type(error.reason), error.reason.args) == (FileNotFoundError, (2, "none"))
        assert str(error) == "<urlopen error [Errno 2] none: '/a'>"


def test_an_http_error(front: str) -> None:
    headers: Any = {"Retry-After": "5"}

    def make() -> Exception:
        return urllib.error.HTTPError("http://a", 503, "busy", headers, io.BytesIO(b""))

    for error in caught(front, make, (urllib.error.URLError,)):
        assert isinstance(error, urllib.error.HTTPError)
        assert (error.code, error.reason, error.url, error.headers["Retry-After"]) == (503, "busy", "http://a", "5")


def test_errors_of_http_clients(front: str) -> None:
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("POST", "http://a/b?c=1", headers={"Authorization": "hush", "X": "1"})
    response = httpx.Response(503, request=request, text="busy", headers={"Retry-After": "5"})
    for error in caught(
        front, lambda: httpx.HTTPStatusError("503", request=request, response=response), (httpx.HTTPError,)
    ):
        assert (error.response.status_code, error.response.text, error.response.headers["retry-after"]) == (
            503,
            "busy",
            "5",
        )
        assert (str(error), error.request.method, str(error.request.url)) == ("503", "POST", "http://a/b?c=1")
        assert "hush" not in repr(error.request.headers.raw)
    for error in caught(front, lambda: httpx.ConnectTimeout("slow", request=request), (httpx.TransportError,)):
        assert (type(error), str(error), error.request.method) == (httpx.ConnectTimeout, "slow", "POST")


def test_an_error_of_aiohttp(front: str) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    yarl, multidict = pytest.importorskip("yarl"), pytest.importorskip("multidict")
    url, headers = yarl.URL("http://a/b"), multidict.CIMultiDictProxy(multidict.CIMultiDict(X="1"))
    info = aiohttp.RequestInfo(url, "GET", headers, url)

    def make() -> Exception:
        error: Exception = aiohttp.ClientResponseError(info, (), status=503, message="busy", headers=headers)
        return error

    for error in caught(front, make, (aiohttp.ClientError,)):
        assert isinstance(error, aiohttp.ClientResponseError)
        assert (str(error), error.status, error.headers["x"]) == (str(make()), 503, "1")
        assert (error.request_info.method, error.request_info.real_url) == ("GET", url)


class Looped(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code, self.itself = code, self


def test_an_error_that_holds_itself(front: str) -> None:
    for error in caught(front, lambda: Looped(4), (Looped,)):
        assert (type(error), error.code, error.itself.itself.code) == (Looped, 4, 4)  # type: ignore[attr-defined]


def test_a_group(front: str) -> None:
    def make() -> Exception:
        return ExceptionGroup("g", [ValueError(1), ExceptionGroup("h", [FileNotFoundError(2, "none")])])

    for error in caught(front, make, (ExceptionGroup,)):
        assert isinstance(error, ExceptionGroup)
        (one, rest) = error.exceptions
        assert (error.message, one.args, rest.exceptions[0].args) == ("g", (1,), (2, "none"))
        assert isinstance(rest.exceptions[0], FileNotFoundError)


class Wanted(BaseModel):
    n: int
    tags: list[str] = []


def test_a_validation_error(front: str) -> None:
    def make() -> Exception:
        with pytest.raises(ValidationError) as found:
            Wanted.model_validate({"n": "x", "tags": [1]})
        return found.value

    expected: Any = make()
    for error in caught(front, make, (ValidationError,)):
        assert isinstance(error, ValidationError)
        assert str(error) == str(expected)
        assert error.errors() == expected.errors()


class ApiError(Exception):
    pass


def test_a_class_that_is_made_late_comes_back_as_the_one_that_was_named(front: str) -> None:
    """As boto's modelled errors, which another process does not have yet."""
    found = caught(front, lambda: type("AlreadyThere", (ApiError,), {})("there"), (ValueError, ApiError), gc.collect)
    assert {(type(error), str(error)) for error in found} == {(ApiError, "there")}


class Holding(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock, self.code = threading.Lock(), 5
        self.detail = {"a": 1, "lock": threading.Lock()}


def test_what_cannot_be_stored_is_left_out_by_itself(front: str) -> None:
    for error in caught(front, lambda: Holding("a"), (Holding,)):
        assert isinstance(error, Holding)
        assert (str(error), error.code, error.detail) == ("a", 5, {"a": 1})
        assert not hasattr(error, "lock")


class Needy(Exception):
    """Its text needs what cannot be stored."""

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self.source, self.code = source, 7

    def __str__(self) -> str:
        return f"of {self.source.name}"


def test_a_text_that_needs_what_cannot_be_stored_is_kept(front: str) -> None:
    for error in caught(front, lambda: Needy(threading.Thread(name="t")), (Needy,)):
        assert isinstance(error, Needy)
        assert (type(error).__name__, str(error), error.code) == ("Needy", "of t", 7)


class Absent(Exception):
    """Attributes that are None are attributes."""

    __slots__ = ("code", "never")

    def __init__(self) -> None:
        super().__init__("none of it")
        self.code = None
        self.response = None


def test_attributes_that_are_none(front: str) -> None:
    for error in caught(front, Absent, (Absent,)):
        assert isinstance(error, Absent)
        assert (error.code, error.response, hasattr(error, "never")) == (None, None, False)
    for error in caught(front, lambda: subprocess.CalledProcessError(1, ["a"]), (subprocess.SubprocessError,)):
        assert isinstance(error, subprocess.CalledProcessError)
        assert (error.returncode, error.stdout, error.stderr) == (1, None, None)


class Several(Exception):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.code = args[0]


def test_an_argument_that_cannot_be_stored_is_told_in_its_place(front: str) -> None:
    lock = threading.Lock()
    for error in caught(front, lambda: Several("busy", lock, None), (Several,)):
        assert type(error) is Several
        assert error.args == ("busy", str(lock), None)
        assert str(error) == f"('busy', {lock!r}, None)"
        assert error.code == "busy"


def test_an_error_that_nobody_named_is_a_step_error(front: str) -> None:
    for error in caught(front, lambda: ApiError("a"), (ValueError,)):
        assert isinstance(error, StepError)
        assert error.error_type.endswith("ApiError")


class NoInstance(Exception):
    def __new__(cls, *_: Any) -> NoInstance:
        raise TypeError("never")


def test_what_can_be_made_again_is_looked_at_when_it_is_named() -> None:
    step(lambda: None, raises=(NoInstance, KeywordsOnly, OwnNew, Frozen, ValidationError, ExceptionGroup))
    cls: Any = type("Odd", (Exception,), {"__slots__": (), "__module__": "elsewhere"})
    step(lambda: None, raises=(cls,))
    with pytest.raises(TypeError, match="Python lets it end no coroutine"):
        step(raises=(StopIteration,))
    with pytest.raises(TypeError, match=re.escape("raises must be a tuple of Exception classes")):
        step(lambda: None, raises=(BaseException,))  # type: ignore[arg-type]
