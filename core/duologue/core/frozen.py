"""Cheap ways to make a frozen attrs object, and to change a field of one.

A state is made anew for every event, and attrs fills a frozen object by one guarded
call a field: that was more than half of what a fold cost (`benchmarks/`). Here an
object is filled while it belongs to a twin of its class, which has the same slots and
no guard, and frozen before anybody sees it. The classes stay what attrs made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

import attrs

__all__ = ["changer", "evolve", "maker", "setter"]

_T = TypeVar("_T")
_P = ParamSpec("_P")

#: What an argument is that is not given.
_KEEP = object()
_CHANGERS: dict[type, Callable[..., Any]] = {}


def maker(cls: Callable[_P, _T]) -> Callable[_P, _T]:
    """A function that makes an object of a class, for a third of what calling it costs.

    The class is one of ``@attrs.frozen(weakref_slot=False)`` whose fields have no
    factories, validators or converters. Arguments are those of the class.
    """
    make: Callable[_P, _T] = _both(cast(type, cls))["make"]
    return make


def changer(cls: Callable[..., _T]) -> Callable[..., _T]:
    """A function that copies an object of such a class with some fields changed.

    It takes the object and the fields by name. Raises TypeError for a field that the
    class does not have.
    """
    change: Callable[..., _T] = _both(cast(type, cls))["change"]
    return change


def setter(cls: Callable[..., _T], name: str) -> Callable[[_T, Any], _T]:
    """A function that copies an object of such a class with one field changed.

    It takes the object and the value: the quickest way there is.
    """
    fields = [field.name for field in attrs.fields(cast(type, cls))]
    assert name in fields, name
    lines = [f"self.{n} = {'value' if n == name else f'old.{n}'}" for n in fields]
    made = _compile(cast(type, cls), ("def set(old, value):", *_filled(lines)))
    put: Callable[[_T, Any], _T] = made["set"]
    return put


def evolve(old: _T, **changes: Any) -> _T:
    """A copy of any such object with these fields changed, as `attrs.evolve` does.

    Raises TypeError for a field that the class does not have.
    """
    cls = type(old)
    change = _CHANGERS.get(cls)
    if change is None:
        change = _CHANGERS[cls] = changer(cls)
    return cast(_T, change(old, **changes))


def _both(cls: type) -> dict[str, Any]:
    """``make`` and ``change`` for one class."""
    fields = attrs.fields(cls)
    names = [field.name for field in fields]
    given = {f"_{f.name}": f.default for f in fields if f.default is not attrs.NOTHING}
    arguments = ", ".join(f"{n}=_{n}" if f"_{n}" in given else n for n in names)
    kept = [f"self.{n} = old.{n} if {n} is KEEP else {n}" for n in names]
    source = (
        f"def make({arguments}):",
        *_filled(f"self.{n} = {n}" for n in names),
        f"def change(old, *, {', '.join(f'{n}=KEEP' for n in names)}):",
        *_filled(kept),
    )
    return _compile(cls, source, KEEP=_KEEP, **given)


def _filled(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a function that fills a twin, and gives it as what it is."""
    yield "    self = twin()"
    yield from (f"    {line}" for line in lines)
    yield "    self.__class__ = cls"
    yield "    return self"


def _compile(cls: type, source: Iterable[str], **names: Any) -> dict[str, Any]:
    slots = tuple(field.name for field in attrs.fields(cls))
    twin = type(cls.__name__, (), {"__slots__": slots})
    made: dict[str, Any] = {"twin": twin, "cls": cls, **names}
    exec("\n".join(source), made)
    return made
