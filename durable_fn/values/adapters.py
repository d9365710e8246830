"""Values as JSON text and back, by annotation. What the handler sees always went through here, on the first run too.

What goes out of code of the user's is written by the annotation's form, read back, and compared with the original: it comes back
equal, or is refused. What comes from outside is validated by pydantic, once; what that gives is stored. Stored text is read by
the form alone, and no code of the user's has a part in it. pydantic is imported when something needs it, because import time is a
feature.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from ..errors import SerializationError
from . import documents, tagged
from .annotations import UNTYPED, parameter_annotation, return_annotation
from .forms.base import Form, NotStorable, Unreadable, Unwritable, Writing, name_of, shown
from .plain import first_lines, loaded, plain, to_plain_json
from .terms import STRICT, Terms

__all__ = [
    "UNTYPED", "UNTYPED_ADAPTER", "Adapter", "adapter", "parameter_adapter", "parameter_annotation", "result_adapter",
    "return_annotation",
]  # fmt: skip


class Kept(NamedTuple):
    """A value as it is stored, and as whoever reads it will see it."""

    text: str
    value: Any


class Adapter(Protocol):
    """Writes and reads the values of one annotation. `what` names the value in errors, all of which are SerializationError."""

    typed: bool
    usable: bool
    pure: bool
    """The same data from outside gives the same value, whenever it is validated."""
    secret: bool
    """Secrets are among its values, which are stored only where a codec encrypts."""

    def check(self, *, outside: bool) -> None:
        """Before there is a value, which may come from outside. Raises SerializationError for an annotation that cannot work."""

    def keep(self, value: object, what: str, terms: Terms = STRICT) -> Kept:
        """A value that code of the user's gave. Compact JSON without raw newlines or tabs."""

    def encode(self, value: object, what: str, terms: Terms = STRICT) -> str:
        """The text alone."""

    def result(self, value: object, what: str, terms: Terms = STRICT) -> str:
        """Of what a handler returned: with what other programs are shown of it, where its class writes that otherwise."""

    def decode(self, text: str, what: str) -> Any:
        """What was kept."""

    def receive(self, json_text: str, what: str, terms: Terms = STRICT) -> Kept:
        """Data from outside, validated now. The error has what came as `raw`."""

    def dump(self, value: object) -> str:
        """As its class writes it for others, in JSON. Raises whatever that raises."""


class UntypedAdapter:
    """Without an annotation: JSON with tags."""

    typed = False
    usable = True
    pure = True
    secret = False

    def check(self, *, outside: bool) -> None:
        pass

    def keep(self, value: object, what: str, terms: Terms = STRICT) -> Kept:
        text = self.encode(value, what, terms)
        back = self.decode(text, what)
        if text.startswith(documents.BEGIN) and terms.checks(text):
            _compare(value, back, "Any", what)
        return Kept(text, back)

    def encode(self, value: object, what: str, terms: Terms = STRICT) -> str:
        return tagged.encode(value, what, secrets=terms.encrypted)

    result = encode

    def dump(self, value: object) -> str:
        return to_plain_json(value)

    def decode(self, text: str, what: str) -> Any:
        return tagged.decode(text, what)

    def receive(self, json_text: str, what: str, terms: Terms = STRICT) -> Kept:
        return self.keep(loaded(json_text, what), what)


class TypedAdapter:
    """By annotation."""

    typed = True
    usable = True

    def __init__(self, annotation: Any) -> None:
        from .forms.factory import form_of

        self.annotation = annotation
        try:
            self.form: Form = form_of(annotation)
        except (NotStorable, RecursionError) as error:
            raise _not_storable(annotation, error) from error
        except Exception as error:  # a name that cannot be resolved, or whatever a class raises when it is asked
            raise _not_storable(annotation, f"{type(error).__name__}: {error}") from error
        self.pure, self.secret = self.form.pure, self.form.secret
        self._plain = self.form.plain and not self.form.checked

    @functools.cached_property
    def _validation(self) -> Any:
        from .validation import adapter_of

        try:
            return adapter_of(self.annotation)
        except NotStorable as error:
            raise _not_storable(self.annotation, error) from error

    def check(self, *, outside: bool) -> None:
        if outside or (self.form.checked and not self.form.secret):
            _ = self._validation

    def encode(self, value: object, what: str, terms: Terms = STRICT) -> str:
        return self.keep(value, what, terms).text

    def result(self, value: object, what: str, terms: Terms = STRICT) -> str:
        kept = self.keep(value, what, terms)
        if not self.form.styled:
            return kept.text
        try:
            shown = self.dump(value)
            return kept.text if documents.loads(shown) == plain(kept.text) else documents.with_shown(kept.text, shown)
        except Exception:  # a serializer that fails: what is stored is shown
            return kept.text

    def dump(self, value: object) -> str:
        return str(self._validation.serializer.to_json(value, by_alias=True, round_trip=True, warnings="none").decode())

    def keep(self, value: object, what: str, terms: Terms = STRICT) -> Kept:
        text = self._written(value, what, terms)
        try:
            back = self.form.read(documents.data_of(text))
        except Exception as error:
            why, cause = self._why_unread(text, error)
            raise SerializationError(f"{what} could not be read back: {why}. {_FIT}") from cause
        if not self._plain and terms.checks(text):
            self._check(value, text, back, what)
        return Kept(text, back)

    def _written(self, value: object, what: str, terms: Terms) -> str:
        w = Writing(terms.encrypted)
        try:
            data = self.form.write(value, w)
            return documents.text_of(data, tagged=w.tagged)
        except Unwritable as error:
            raise SerializationError(f"{what} does not fit its annotation: {error}. {_FIT}") from (error.__cause__)
        except UnicodeEncodeError as error:
            raise SerializationError(f"{what} cannot be stored: {tagged.lone_surrogate(error)}") from None
        except RecursionError:
            raise SerializationError(f"{what} cannot be stored: it is nested too deeply, or contains itself") from None
        except Exception as error:
            raise SerializationError(f"{what} cannot be stored: {_why(error)}. It is {shown(value)}; {_FIT}") from error

    def _check(self, value: object, text: str, back: Any, what: str) -> None:
        """That it came back as it was, and does so again; and that limits and validators take it. They see secrets as asterisks,
        so those are not asked about."""
        form = self.form
        if form.foreign or not form.same(value, back):
            _compare(value, back, name_of(self.annotation), what)
        if form.foreign:
            _compare(back, self.form.read(documents.data_of(text)), name_of(self.annotation), what)
        if form.checked and not form.secret:
            self._ask(value, what)

    def _ask(self, value: object, what: str) -> None:
        ask, misfit = _asking()
        try:
            ask(self._validation, value)
        except misfit as found:
            raise SerializationError(
                f"{what} does not fit its annotation: {_why(found.cause)}. {_FIT}"
            ) from found.cause

    def decode(self, text: str, what: str) -> Any:
        try:
            return self.form.read(documents.data_of(text))
        except Exception as error:
            why, cause = self._why_unread(text, error)
            raise SerializationError(f"{what} does not fit its annotation: {why}") from cause

    def _why_unread(self, text: str, error: Exception) -> tuple[str, Exception | None]:
        """In words, and the error that says so: without the secrets in the text."""
        if not documents.holds_secrets(text):
            return _why(error), error
        try:
            self.form.read(documents.data_of(documents.masked(text)))
        except Exception as same:
            if isinstance(same, Unreadable | ValueError):
                return _why(same), same
        return f"a {type(error).__name__}, which is not shown because the value holds secrets", None

    def receive(self, json_text: str, what: str, terms: Terms = STRICT) -> Kept:
        try:
            value = self._validation.validator.validate_json(json_text)
        except Exception as error:
            why = _why(error, hidden=self.form.secret)
            raise SerializationError(
                f"{what} does not fit its annotation: {why}", raw=loaded(json_text, what)
            ) from error
        try:
            return self._received(value, what, terms)
        except SerializationError as error:
            error.raw = loaded(json_text, what)
            raise

    def _received(self, value: Any, what: str, terms: Terms) -> Kept:
        """Validated values are not asked again: their validators have had their turn."""
        text = self._written(value, what, terms)
        back = self.decode(text, what)
        if not self._plain and terms.checks(text) and not self.form.same(value, back):
            _compare(value, back, name_of(self.annotation), what)
        return Kept(text, back)


class Unusable:
    """Of an annotation that cannot work. What was recorded for it cannot be read, and nothing can be recorded."""

    typed = True
    usable = False
    pure = True
    secret = False

    def __init__(self, error: SerializationError) -> None:
        self._error = error

    def check(self, *, outside: bool) -> None:
        raise self._error

    def keep(self, value: object, what: str, terms: Terms = STRICT) -> Kept:
        raise self._error

    def encode(self, value: object, what: str, terms: Terms = STRICT) -> str:
        raise self._error

    result = encode

    def dump(self, value: object) -> str:
        raise self._error

    def decode(self, text: str, what: str) -> Any:
        raise self._error

    receive = keep


@functools.cache
def _asking() -> tuple[Callable[[Any, Any], None], Any]:
    from .validation import Misfit, ask

    return ask, Misfit


@functools.cache
def _difference() -> Callable[[Any, Any], Any]:
    from .sameness import difference

    return difference


def _compare(value: object, back: Any, annotation: str, what: str) -> None:
    try:
        found = _difference()(value, back)
    except Exception as error:  # in a method of the value's
        raise SerializationError(
            f"{what} cannot be compared with what would come back: {_why(error)}. {_FIT}"
        ) from error
    if found is not None:
        where = f" at {found.path[:200]}" if found.path else ""
        raise SerializationError(
            f"{what} would come back as another value{where}: {shown(found.back)} instead of {shown(found.stored)}. It is "
            f"annotated as {annotation}; give the class a serializer and a validator that are inverse to each other, or the "
            "function another annotation (step(fn, result_type=...) wins over it)"
        )


_FIT: Final = "Correct the value, or the annotation (step(fn, result_type=...) wins over it)"


class EventClassAdapter(UntypedAdapter):
    """What is stored is the event as Lambda delivered it. A TypedDict says more about it than is checked here."""

    def __init__(self, cls: type) -> None:
        self._cls: Callable[[Any], Any] | None = None if issubclass(cls, dict) else cls

    def keep(self, value: object, what: str, terms: Terms = STRICT) -> Kept:
        text = self.encode(value, what, terms)
        return Kept(text, self.decode(text, what))

    def encode(self, value: object, what: str, terms: Terms = STRICT) -> str:
        return super().encode(value if self._cls is None else getattr(value, "raw_event", value), what, terms)

    def decode(self, text: str, what: str) -> Any:
        value = super().decode(text, what)
        if self._cls is None:
            return value
        if not isinstance(value, dict):
            raise SerializationError(f"{what} is {type(value).__name__}, and its class reads an object")
        return self._cls(value)


UNTYPED_ADAPTER: Final = UntypedAdapter()
_adapters: dict[Any, Adapter] = {}
_LOOSE: Final = (Any, object, inspect.Signature.empty, dict, list, tuple, set, frozenset)


def adapter(annotation: Any) -> Adapter:
    """The adapter of any type expression; UNTYPED, Any, object and bare containers give the untyped one."""
    try:
        found = _adapters.get(annotation)
    except TypeError:  # not hashable
        return _make(annotation)
    if found is None:
        found = _adapters[annotation] = _make(annotation)
    return found


def usable(make: Callable[[Any], Adapter], given: Any) -> Adapter:
    """The adapter, or one that says what is wrong when it is asked for something: what is recorded decides what that means."""
    try:
        return make(given)
    except SerializationError as error:
        return Unusable(error)


def result_adapter(fn: Callable[..., Any]) -> Adapter:
    """Of what a function says it returns. Raises SerializationError."""
    return _of(return_annotation(fn), "the return annotation", fn)


def parameter_adapter(fn: Callable[..., Any], index: int) -> Adapter:
    """Of what a function takes there. Raises SerializationError."""
    return _of(parameter_annotation(fn, index), "the annotation of a parameter", fn)


def _of(annotation: Any, what: str, fn: Any) -> Adapter:
    try:
        return adapter(annotation)
    except SerializationError as error:
        raise SerializationError(f"{what} of {getattr(fn, '__qualname__', fn)!r}: {error}") from error


def _make(annotation: Any) -> Adapter:
    if _is_loose(annotation):
        return UNTYPED_ADAPTER
    from .event_classes import is_event_class

    return EventClassAdapter(annotation) if is_event_class(annotation) else TypedAdapter(annotation)


def _is_loose(annotation: Any) -> bool:
    """Any, object, bare containers, and lists or dicts of nothing but such."""
    if any(annotation is loose for loose in _LOOSE):
        return True
    from typing import get_args, get_origin

    origin, args = get_origin(annotation), get_args(annotation)
    if origin is dict and args:
        return args[0] in (str, Any) and _is_loose(args[1])
    return origin is list and bool(args) and _is_loose(args[0])


def result_of(kind: Adapter, text: str, what: str) -> Any:
    """The result of an execution, which another function may have written by another annotation: read by its form, else taken as
    data from outside. Raises SerializationError."""
    try:
        return kind.decode(text, what)
    except SerializationError:
        return kind.receive(documents.dumps(plain(text)), what).value


def no_codec(what: str) -> str:
    return (
        f"{what} holds secrets by its annotation (SecretStr, SecretBytes), which are stored only where a codec encrypts: "
        "durable_fn.configure(codec=durable_fn.codecs.AesGcm(key)). Or store a reference, such as the secret's name in a secrets "
        "manager"
    )


# -- words ---------------------------------------------------------------------------------------------------------


def _not_storable(annotation: Any, why: object) -> SerializationError:
    return SerializationError(
        f"the annotation {annotation!r} cannot be stored as JSON: {why}. Use a pydantic model, a dataclass, or built-in types"
    )


def _why(error: BaseException, *, hidden: bool = False) -> str:
    """pydantic's list of problems on one line each place: "lines[2].sku: Field required". `hidden`: without what was given."""
    problems = getattr(error, "errors", None)
    if not callable(problems):
        text = first_lines(error)
        return (
            text
            if isinstance(error, ValueError) or type(error).__module__ != "builtins"
            else f"{type(error).__name__}: {text}"
        )
    rows = problems(include_url=False, include_context=False, include_input=True)
    texts = []
    for row in rows[:5]:
        where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in row["loc"]).lstrip(".")
        given = "" if hidden else f" (got {shown(row['input'])})"
        texts.append(f"{where or 'the value'}: {row['msg']}{given}")
    more = f"; and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"{len(rows)} problem{'s' * (len(rows) > 1)}: " + "; ".join(texts) + more
