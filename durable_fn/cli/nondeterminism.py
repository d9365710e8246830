"""What in a handler's own code may be different on a replay: a look at the source, without running or importing it.

A handler is what `@durable` decorates. Its own code is its body, the functions inside it that are branches, and the
functions of the same module that it calls. The bodies of steps are not: what they give is recorded. What a look at the
source cannot see (another module's functions, what a variable holds) `durable_fn.testing.crash_everywhere` finds by running.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

IGNORE: Final = "durable-fn: ignore"
"""In a comment on the line."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Rule(NamedTuple):
    kind: str
    why: str
    fix: str


class Finding(NamedTuple):
    """`handler`: whose code it is."""

    file: str
    line: int
    column: int
    handler: str
    kind: str
    what: str
    why: str
    fix: str


_CLOCK: Final = Rule("clock", "a replay reads another time", "use ctx.now(), which is recorded")
_SLEEP: Final = Rule("clock", "it holds the Lambda awake, and is waited for again on each replay", "use ctx.sleep()")
_RANDOM: Final = Rule("random", "a replay draws another value", "use ctx.random(), or draw in a step")
_UUID: Final = Rule("uuid", "a replay makes another id", "use ctx.uuid4(), or make it in a step")
_NETWORK: Final = Rule(
    "network", "it is done again on each replay, and may answer otherwise", "do it in a step: ctx.step(...)"
)
_ENVIRONMENT: Final = Rule(
    "environment",
    "another deploy, or another function, has other values, and a replay runs there",
    "read it in a step, or take it from the event",
)
_FILE: Final = Rule(
    "file", "another environment has other files, and a replay runs there", "read or write it in a step"
)
_SET: Final = Rule(
    "set", "the order of a set is another one in each process", "iterate over sorted(...), or keep a list or a dict"
)
_HASH: Final = Rule(
    "hash", "hash() of a text, and id(), are others in each process", "use hashlib, or a key of your own"
)
_THREAD: Final = Rule(
    "thread", "it is started again on each replay, and nothing records what it does", "use ctx.parallel or ctx.map"
)
_PROCESS: Final = Rule("process", "it is run again on each replay", "do it in a step")

RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(
        [
            "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
            "time.localtime", "time.gmtime", "time.ctime", "datetime.datetime.now", "datetime.datetime.utcnow",
            "datetime.datetime.today", "datetime.date.today",
        ],
        _CLOCK,
    ),
    "time.sleep": _SLEEP,
    **dict.fromkeys(["random.*", "secrets.*", "os.urandom", "numpy.random.*"], _RANDOM),
    **dict.fromkeys(["uuid.uuid1", "uuid.uuid4"], _UUID),
    **dict.fromkeys(
        [
            "requests.*", "httpx.*", "aiohttp.*", "urllib.request.*", "urllib3.*", "http.client.*", "socket.*", "smtplib.*",
            "ftplib.*", "boto3.*", "botocore.*",
        ],
        _NETWORK,
    ),
    **dict.fromkeys(["os.environ", "os.environ.*", "os.getenv"], _ENVIRONMENT),
    **dict.fromkeys(["open", "io.open", "os.listdir", "os.scandir", "os.walk", "glob.*", "tempfile.*", "shutil.*"], _FILE),
    **dict.fromkeys(["hash", "id"], _HASH),
    **dict.fromkeys(["threading.Thread", "threading.Timer", "concurrent.futures.*", "multiprocessing.*"], _THREAD),
    **dict.fromkeys(["subprocess.*", "os.system", "os.popen"], _PROCESS),
}  # fmt: skip
_BUILTINS: Final = frozenset({"open", "hash", "id"})
_IN_A_STEP: Final = {"step": 0, "poll": 0, "wait_for_callback": 0}
"""Methods of the context, and which of their arguments is recorded: what it gives is, and its code does not run on a replay."""
_SETS: Final = frozenset({"set", "frozenset"})
_IN_ORDER: Final = frozenset({"sorted", "len", "sum", "min", "max", "any", "all", "set", "frozenset"})
"""To them the order of what they are given is all the same."""


@dataclass
class Source:
    """A module, as far as it is needed."""

    file: str
    lines: list[str]
    names: dict[str, str]
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]


def findings(text: str, file: str) -> tuple[list[Finding], int]:
    """And how many handlers were looked at. Raises SyntaxError."""
    tree = ast.parse(text, file)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    source = Source(file, text.split("\n"), _imported(tree), functions)
    handlers = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_decorated(node, source, "durable")
    ]
    found = [finding for handler in handlers for finding in _of_handler(handler, source)]
    return sorted(set(found)), len(handlers)


def _imported(tree: ast.AST) -> dict[str, str]:
    """What local names stand for, wherever they are imported."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _is_decorated(node: ast.FunctionDef | ast.AsyncFunctionDef, source: Source, name: str) -> bool:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        known = _qualified(called, source)
        if known is not None and known.startswith("durable_fn") and known.rpartition(".")[2] == name:
            return True
    return False


def _qualified(node: ast.expr, source: Source) -> str | None:
    """What an expression of names and dots stands for."""
    if isinstance(node, ast.Name):
        return source.names.get(node.id, node.id if node.id in _BUILTINS else None)
    if isinstance(node, ast.Attribute):
        inner = _qualified(node.value, source)
        return None if inner is None else f"{inner}.{node.attr}"
    return None


def _of_handler(handler: ast.FunctionDef | ast.AsyncFunctionDef, source: Source) -> Iterator[Finding]:
    """Its own code, and that of the functions which it calls, each once."""
    seen: set[str] = {handler.name}
    left: list[Function] = [handler]
    while left:
        walk = _Walk(left.pop(), source, handler.name)
        yield from walk.found
        for name in walk.called:
            function = source.functions.get(name)
            if name not in seen and function is not None and not _is_recorded(function, source):
                left.append(function)
            seen.add(name)


def _is_recorded(function: ast.FunctionDef | ast.AsyncFunctionDef, source: Source) -> bool:
    return any(_is_decorated(function, source, name) for name in ("step", "durable"))


class _Walk(ast.NodeVisitor):
    """The code of one function, without what is recorded."""

    def __init__(self, function: Function, source: Source, handler: str) -> None:
        self.found: list[Finding] = []
        self.called: list[str] = []
        self._source = source
        self._handler = handler
        self._sets: set[str] = set()
        self._aside = _only_in_steps(function, source)
        body = [function.body] if isinstance(function, ast.Lambda) else function.body
        for node in body:
            self.visit(node)

    # -- what is left out ------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name not in self._aside and not _is_recorded(node, self._source):
            for inner in node.body:
                self.visit(inner)

    def visit_Call(self, node: ast.Call) -> None:
        recorded = _recorded_argument(node, self._source)
        self._look(node.func)
        if isinstance(node.func, ast.Name) and node.func.id not in self._aside:
            self.called.append(node.func.id)
        self.visit(node.func)
        ordered = isinstance(node.func, ast.Name) and node.func.id in _IN_ORDER
        for argument in node.args:
            if argument is recorded:
                continue
            if isinstance(argument, ast.Name):  # handed to ctx.map, ctx.child, ...: a branch
                self.called.append(argument.id)
            if _is_fan(node) and not ordered:
                self._iterated(argument)
            if not (ordered and isinstance(argument, ast.GeneratorExp | ast.ListComp)):
                self.visit(argument)
        for keyword in node.keywords:
            self.visit(keyword.value)

    # -- what is looked at -----------------------------------------------------------------------------------------------

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._look(node.value)
        self.visit(node.slice)
        if _qualified(node.value, self._source) is None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        self._sets = self._sets | names if self._is_set(node.value) else self._sets - names

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            if isinstance(node.target, ast.Name) and self._is_set(node.value):
                self._sets.add(node.target.id)

    def visit_For(self, node: ast.For) -> None:
        self._iterated(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._iterated(node.iter)
        self.generic_visit(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        """A set made of a set: the order is lost in any case."""
        for generator in node.generators:
            self.visit(generator.iter)
        self.visit(node.elt)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._iterated(node.value)
        self.generic_visit(node)

    def _iterated(self, node: ast.expr) -> None:
        if self._is_set(node):
            self._tell(node, _SET, ast.unparse(node))

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            inner = node.args[0] if node.args else None
            if node.func.id in ("list", "tuple", "enumerate", "iter", "reversed") and inner is not None:
                return self._is_set(inner)
            return node.func.id in _SETS
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            return self._is_set(node.left) or self._is_set(node.right)
        return isinstance(node, ast.Name) and node.id in self._sets

    def _look(self, node: ast.expr) -> None:
        name = _qualified(node, self._source)
        if name is None:
            return
        rule = next((rule for pattern, rule in RULES.items() if _matches(name, pattern)), None)
        if rule is not None:
            self._tell(node, rule, ast.unparse(node))

    def _tell(self, node: ast.expr, rule: Rule, what: str) -> None:
        if IGNORE in self._source.lines[node.lineno - 1]:
            return
        place = (self._source.file, node.lineno, node.col_offset + 1)
        self.found.append(Finding(*place, self._handler, rule.kind, what, rule.why, rule.fix))


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _is_fan(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("map", "parallel", "race")


def _recorded_argument(call: ast.Call, source: Source) -> ast.expr | None:
    """The function that a step, a poll or a callback's submitter is, where it stands in its call."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else None
    known = _qualified(call.func, source)
    if known is not None and known.startswith("durable_fn") and known.rpartition(".")[2] == "step":
        name = "step"
    place = _IN_A_STEP.get(name or "")
    return call.args[place] if place is not None and len(call.args) > place else None


def _only_in_steps(function: Function, source: Source) -> set[str]:
    """Names of functions that are used as the bodies of steps, and nowhere else."""
    recorded: set[str] = set()
    elsewhere: set[str] = set()
    inside = {id(argument) for node in ast.walk(function) if isinstance(node, ast.Call)
              and (argument := _recorded_argument(node, source)) is not None}  # fmt: skip
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            (recorded if id(node) in inside else elsewhere).add(node.id)
    return recorded - elsewhere
