"""A failure report is short and readable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from duologue.core import Record, State
from duologue.core.testing import Fault
from duologue.core.testing.failure_report import (
    Photo,
    compared,
    name_of,
    place,
    raised,
)
from duologue.core.testing.stream import shown


def test_frames_that_are_not_text() -> None:
    """Bytes are escaped, and long frames are shortened."""
    record = Record.of(b"\xff" * 300, seq=1, session="s", dir="in")
    fault = Fault("what", [record])

    assert str(fault).startswith("what\n[\n  1. s in \\xff")
    assert "… (" in str(fault)
    assert len(str(fault)) < 1000


def nothing() -> None:
    """A function that does nothing."""


@pytest.mark.parametrize("value", [{"a": 1}, lambda: None, State()])
def test_a_photo_is_the_same_for_the_same(value: Any) -> None:
    """Photos of equal states are equal and have a repr, for every kind of state."""
    assert Photo(value) == Photo(value)
    assert hash(Photo(value)) == hash(Photo(value))
    assert Photo(value) != Photo([value])
    assert repr(Photo(value))


def test_a_photo_keeps_the_value() -> None:
    """A later change of the value does not change its photo."""
    value = {"a": 1}
    photo = Photo(value)
    value["a"] = 2
    assert repr(photo) == "{'a': 1}"


def test_two_values_from_their_first_difference() -> None:
    """Long values are shown from their first difference, short ones in full."""
    assert compared(("one", "other"), [1], [2]) == "  one: [1]\n  other: [2]"
    long = compared(("one", "other"), "a" * 500 + "b", "a" * 500)
    assert long == f"  one: …{'a' * 60}b'\n  other: …{'a' * 60}'"
    assert compared(("a", "b"), "a" * 500, "b").startswith("  a: 'aaa")
    assert compared(("a", "b"), "a" * 500, "b").splitlines()[0].endswith("a…")


def test_functions_have_their_own_names() -> None:
    """A function has its own name, an object its repr."""

    class Called:
        def __call__(self) -> None: ...

        def __repr__(self) -> str:
            return "called" * 100

    def local() -> None: ...

    functions: list[Callable[[], None]] = [nothing, local, Called()]
    assert [name_of(function)[:7] for function in functions] == [
        "nothing",
        "local",
        "calledc",
    ]
    assert shown(Called()).endswith("…")


def test_the_reason_of_an_exception() -> None:
    """It has the function, the error, and the number and type of the record."""
    record = Record.of(b'{"type":"duologue.tick"}', seq=9, session="s", dir="local")
    assert raised(nothing, KeyError("x"), place(2, record)) == (
        "nothing raised KeyError('x') at record 2 (duologue.tick)"
    )
