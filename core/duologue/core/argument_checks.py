"""Checks of the arguments of public functions, with clear errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from .state.model import Session

__all__ = ["of_session", "require", "require_function", "require_session"]

#: `inspect.CO_COROUTINE`: the flag of the code of an ``async def``.
_COROUTINE = 0x80
_P = ParamSpec("_P")
_T = TypeVar("_T")


def require(
    value: object, kind: type | tuple[type, ...], what: str, hint: str = ""
) -> None:
    """Raise a TypeError that names ``what`` unless ``value`` is of this type."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(each.__name__ for each in kinds)
        given = "None" if value is None else type(value).__name__
        raise TypeError(f"{what} must be {names}, not {given}{hint}")


def require_function(value: object, what: str) -> None:
    """Raise TypeError unless ``value`` is callable and not a coroutine function."""
    if not callable(value):
        given = "None" if value is None else type(value).__name__
        raise TypeError(f"{what} must be a function, not {given}")
    code = getattr(value, "__code__", None)
    if code is not None and code.co_flags & _COROUTINE:
        raise TypeError(f"{what} must not be a coroutine function: it is not awaited")


def require_session(value: object, what: str) -> None:
    """Raise TypeError, with a hint, unless ``value`` is a session."""
    hint = "; the sessions of a state are in its `sessions`, by id"
    if value is None:
        hint = "; `Store.session` returns None for an unknown id"
    require(value, Session, f"{what}: the session", hint)


def of_session(
    function: Callable[Concatenate[Session, _P], _T],
) -> Callable[Concatenate[Session, _P], _T]:
    """Wrap a function: it raises TypeError unless its first argument is a session."""
    name = getattr(function, "__name__", "")

    @wraps(function)
    def checked(session: Session, *args: _P.args, **options: _P.kwargs) -> _T:
        require_session(session, name)
        return function(session, *args, **options)

    return checked  # type: ignore[return-value] # the name of its first argument
