"""Cheap copies are what attrs would have made."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import accounts, state
from duologue.core.frozen import changer, evolve, maker

CLASSES = [
    value
    for module in (accounts, state)
    for value in vars(module).values()
    if isinstance(value, type) and attrs.has(value)
]


FACTORY: type = type(attrs.Factory(list))


@attrs.frozen(weakref_slot=False)
class Point:
    """A class of its own, with and without defaults."""

    x: int
    y: int = 2
    z: tuple[int, ...] = ()


@given(x=st.integers(), y=st.integers(), z=st.lists(st.integers()).map(tuple))
def test_made_is_what_the_class_makes(x: int, y: int, z: tuple[int, ...]) -> None:
    """Positions, names and defaults mean the same; so do equality, hash and repr."""
    make = maker(Point)
    made = [make(x), make(x, y), make(x, z=z), make(z=z, x=x, y=y)]
    called = [Point(x), Point(x, y), Point(x, z=z), Point(z=z, x=x, y=y)]

    assert made == called
    assert list(map(hash, made)) == list(map(hash, called))
    assert repr(made) == repr(called)
    assert {type(each) for each in made} == {Point}


@given(x=st.integers(), y=st.integers())
def test_changed_is_what_attrs_evolves(x: int, y: int) -> None:
    """A copy with other fields; the old one stays as it was."""
    old = Point(0, z=(1,))

    assert evolve(old, x=x, y=y) == attrs.evolve(old, x=x, y=y)
    assert changer(Point)(old, y=y) == attrs.evolve(old, y=y)
    assert old == Point(0, 2, (1,))


@pytest.mark.parametrize("made", [maker(Point)(1), evolve(Point(0), x=1)])
def test_nobody_changes_one(made: Point) -> None:
    """An object made this way is as frozen as any."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.x = 3  # type: ignore[misc]


def test_mistakes_are_refused() -> None:
    """A field that is missing or unknown is a TypeError, as for the class."""
    with pytest.raises(TypeError, match="x"):
        maker(Point)()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="w"):
        evolve(Point(1), w=3)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_nodes_can_be_made_so(cls: type[Any]) -> None:
    """No class of the state has what the cheap way leaves out."""
    fields = attrs.fields(cls)

    assert "__weakref__" not in cls.__slots__
    assert [f.name for f in fields if f.validator or f.converter] == []
    assert [f.name for f in fields if isinstance(f.default, FACTORY)] == []
