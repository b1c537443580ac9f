"""The report of a failed check: the function, the record and the two values."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from duologue.core.log.record import Record
from duologue.core.log.snapshot import dump
from duologue.core.state.model import State

from .stream import Stream, shown

__all__ = ["Fault", "Photo", "compared", "name_of", "place", "raised"]

#: Characters of a value in a comparison, and those of them before the difference.
_SHOWN = 160
_BEFORE = 60


class Fault(AssertionError):
    """A failed check: the reason, and the records that reproduce it.

    >>> raise Fault("it raised", [])
    Traceback (most recent call last):
        ...
    duologue.core.testing.Fault: it raised
    """

    # Tracebacks show the public module.
    __module__ = "duologue.core.testing"

    def __init__(self, what: str, stream: Sequence[Record]) -> None:
        #: The reason.
        self.what = what
        #: The records that reproduce it. The message shortens long frames.
        self.stream = Stream(stream)
        super().__init__(f"{what}\n{self.stream!r}" if stream else what)


class Photo:
    """The bytes of a value at one time, to compare with the value later."""

    def __init__(self, value: object) -> None:
        self._kind, self._bytes = _bytes(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Photo) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        """The value at that time."""
        if self._kind == "pickle":
            return repr(pickle.loads(self._bytes))
        return self._bytes.decode(errors="surrogatepass")


def _bytes(value: object) -> tuple[str, bytes]:
    if isinstance(value, State):
        return "dump", dump(value)
    try:
        return "pickle", pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return "repr", repr(value).encode(errors="surrogatepass")


def name_of(function: object) -> str:
    """The name of a function; the shortened repr of an object without one."""
    name = getattr(function, "__qualname__", None)
    return name.rpartition("<locals>.")[2] if isinstance(name, str) else shown(function)


def place(number: int, record: Record, when: str = "at") -> str:
    """The position in the stream: the number in its listing, and the event type."""
    return f"{when} record {number} ({record.event.type})"


def raised(function: object, error: Exception, where: str) -> str:
    """The reason for a function that raised."""
    return f"{name_of(function)} raised {shown(error)} {where}"


def compared(names: tuple[str, str], one: object, other: object) -> str:
    """Two lines with two values, from shortly before their first difference."""
    texts = repr(one), repr(other)
    at = next(
        (n for n, (a, b) in enumerate(zip(*texts, strict=False)) if a != b),
        min(map(len, texts)),
    )
    start = max(0, at - _BEFORE) if max(map(len, texts)) > _SHOWN else 0
    return "\n".join(
        f"  {name}: {'…' if start else ''}{text[start : start + _SHOWN]}"
        f"{'…' if len(text) > start + _SHOWN else ''}"
        for name, text in zip(names, texts, strict=True)
    )
