"""Cold starts and warm invocations in Lambda's own Python runtime, on an emulator of DynamoDB, and sizes of packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import statistics
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import botocore.session

from durable_fn.testing.cloud import table_definition
from durable_fn.testing.lambda_runtime import Answer, LambdaFunction

from . import emulator
from .emulator import ROOT

COLD, WARM = 7, 150
HANDLERS = {
    "the same handler, plain": "plain",
    "plain, stores its result with boto3": "storing",
    "durable, one step": "one_step",
}
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
_WITH_PYDANTIC = ("pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection")


@dataclass(frozen=True)
class Start:
    """Milliseconds as the caller waits. `cold`: process, imports and first invocation; the best of several. `warm`: the median
    of many, each a new execution."""

    handler: str
    cold: float
    warm: float


@dataclass(frozen=True)
class Size:
    """Kilobytes."""

    package: str
    zipped: float
    unzipped: float


def missing() -> str | None:
    """Why it cannot be measured here."""
    if importlib.util.find_spec("awslambdaric") is None:
        return "awslambdaric is not installed: pip install awslambdaric"
    return emulator.missing()


def starts() -> list[Start]:
    """The handlers take turns."""
    with tempfile.TemporaryDirectory() as folder, emulator.ministack(Path(folder)) as endpoint:
        variables = {**_KEYS, "AWS_ENDPOINT_URL": endpoint, "DURABLE_FN_TABLE": "durable-fn"}
        session = botocore.session.get_session()
        session.set_credentials("test", "test")
        dynamodb = session.create_client("dynamodb", region_name="eu-central-1", endpoint_url=endpoint)
        dynamodb.create_table(**table_definition("durable-fn"))
        cold: dict[str, list[float]] = {name: [] for name in HANDLERS}
        warm: dict[str, list[float]] = {name: [] for name in HANDLERS}
        for number in range(COLD):
            for name, handler in HANDLERS.items():
                with _function(handler, variables) as function:
                    ids = (f"{name}-{number}-{n}" for n in range(WARM))
                    cold[name].append(_milliseconds(_invoke(function, next(ids))))
                    if number == 0:
                        warm[name] = [_milliseconds(_invoke(function, id)) for id in ids]
        return [Start(name, min(cold[name]), statistics.median(warm[name])) for name in HANDLERS]


def _function(handler: str, variables: dict[str, str]) -> LambdaFunction:
    return LambdaFunction(f"benchmarks.lambda_functions.{handler}", timeout=20, task_root=ROOT, variables=variables)


def _invoke(function: LambdaFunction, id: str) -> Answer:
    answer = function.invoke({"id": id, "total": "64.00"})
    if answer.failed or answer.value["result"] != "charged 64.00":
        raise RuntimeError(f"{function.handler} answers {answer.payload[:500]!r}")
    return answer


def _milliseconds(answer: Answer) -> float:
    return answer.seconds * 1000


def sizes() -> list[Size]:
    """What a function carries besides its own code: boto3 is in Lambda's runtime."""
    own = _zipped((path, str(path.relative_to(ROOT))) for path in sorted((ROOT / "durable_fn").rglob("*.py")))
    needs = _zipped(item for name in _WITH_PYDANTIC for item in _installed(name))
    return [Size("durable_fn", *own), Size("pydantic and what it needs", *needs)]


def _installed(distribution: str) -> Iterator[tuple[Path, str]]:
    for file in importlib.metadata.files(distribution) or ():
        if file.suffix in (".py", ".so"):
            yield Path(str(file.locate())), str(file)


def _zipped(files: Iterator[tuple[Path, str]]) -> tuple[float, float]:
    """Kilobytes zipped and not."""
    buffer, size = io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, name in files:
            archive.write(path, name)
            size += path.stat().st_size
    return len(buffer.getvalue()) / 1000, size / 1000
