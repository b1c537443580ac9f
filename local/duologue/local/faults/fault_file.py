"""Reads fault files; the format is described in ``docs/faults.md``."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct

from duologue.core.events import ServerEvent

from ..yaml_file import Map, YamlError, YamlFile, listed
from .injector import (
    TRANSCRIBED,
    Cut,
    Deed,
    Delay,
    Drop,
    Duplicate,
    Errors,
    Expire,
    Fail,
    Fault,
    Faults,
    Late,
    Mute,
    Orphan,
    Reorder,
    TimedDeed,
)

__all__ = ["FaultsError", "load_faults"]

#: Valid close codes (RFC 6455, section 7.4), and 1006: no close frame.
_CODES = {*range(1000, 1004), *range(1006, 1015), *range(3000, 5000)}
_TYPES = [str(event.__struct_config__.tag) for event in ServerEvent.__subclasses__()]

_T = TypeVar("_T")
_Several = Annotated[list[_T], Meta(min_length=1)]
_Number = Annotated[int, Meta(ge=1, le=1_000_000)]
_Times = Annotated[int, Meta(ge=1, le=1000)]
_Seconds = Annotated[float, Meta(ge=0, le=600)]
_Span = _Seconds | Annotated[list[_Seconds], Meta(min_length=2, max_length=2)]


_DEEDS: dict[str, Callable[..., Deed | TimedDeed]] = {
    "drop": Drop,
    "delay": Delay,
    "late": Late,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "fail": Fail,
    "orphan": Orphan,
    "errors": Errors,
    "expire": Expire,
    "cut": Cut,
}


class FaultsError(YamlError):
    """A fault file is invalid; the message names the file, the line and the key."""


class _Fail(Struct, forbid_unknown_fields=True):
    message: str
    code: str = Fail("").code


class _Errors(Struct, forbid_unknown_fields=True):
    count: _Times
    code: str = Errors(1).code
    message: str = Errors(1).message
    type: str = Errors(1).type


class _Fault(Struct, forbid_unknown_fields=True):
    event: str | _Several[str] | None = None
    nth: _Number | _Several[_Number] = []
    chance: Annotated[float, Meta(ge=0, le=1)] = 1.0
    at: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    session: _Number | _Several[_Number] = []
    model: str = "*"
    drop: bool = False
    delay: _Span = 0
    late: _Span = 0
    duplicate: _Times = 1
    reorder: _Times = 1
    fail: str | _Fail = ""
    orphan: bool = False
    errors: _Times | _Errors = 1
    expire: bool = False
    cut: bool | int | str = False


class _File(Struct, forbid_unknown_fields=True):
    faults: _Several[_Fault]
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


def load_faults(path: str | Path) -> Faults:
    """Read a fault file. Raises `FaultsError`."""
    typed = {*_DEEDS, "seed", "nth", "chance", "at", "session"} - {"fail"}
    file = YamlFile(path, "faults", FaultsError, "faults", typed)
    content = file.read()
    read = file.convert(content, _File)
    pairs = zip(content["faults"], read.faults, strict=True)
    return Faults(tuple(_fault(file, *pair) for pair in pairs), read.seed)


def _fault(file: YamlFile, found: Map, fault: _Fault) -> Fault:
    def refuse(key: str, why: str) -> NoReturn:
        file.fail(found.lines.get(key, found.line), key, why)

    deed, *others = [key for key in found if key in _DEEDS] or [""]
    if not deed:
        refuse("faults", f"a fault needs one of {', '.join(_DEEDS)}")
    if others:
        refuse(others[0], f"a fault has one effect; {deed} is given too")
    try:
        does = _deed(deed, getattr(fault, deed))
    except ValueError as error:
        refuse(deed, str(error))
    events = tuple(listed(fault.event))
    for pattern in events:
        if not fnmatch.filter(_TYPES, pattern):
            refuse("event", f"no service event matches {pattern}")
    if isinstance(does, Fail):
        events = events or (TRANSCRIBED,)
        if events != (TRANSCRIBED,):
            refuse("event", f"fail works only with {TRANSCRIBED}")
    if isinstance(does, TimedDeed):
        if bool(events) is (fault.at is not None):
            refuse(deed, "needs event or at, and not both")
    elif fault.at is not None:
        refuse("at", f"cannot be used with {deed}; use event")
    elif not events:
        refuse(deed, "needs event")
    for key in ("nth", "chance"):
        if fault.at is not None and key in found:
            refuse(key, "cannot be used with at")
    return Fault(
        does=does,
        events=events,
        nth=frozenset(listed(fault.nth)),
        chance=fault.chance,
        at=fault.at,
        sessions=frozenset(listed(fault.session)),
        model=fault.model,
    )


def _deed(key: str, value: Any) -> Deed | TimedDeed:
    """The effect of a key. Raises `ValueError`."""
    values: Sequence[Any] = [value]
    if key == "cut":
        if value == "media":
            return Mute()
        if value is not True and (value is False or value not in _CODES):
            raise ValueError("expected true, media or a close code")
        values = [] if value is True else values
    elif key in ("delay", "late"):
        values = value if isinstance(value, list) else [value, value]
        if values[0] > values[1]:
            raise ValueError("expected seconds or a list of two, [least, most]")
    elif isinstance(value, bool):
        if not value:
            raise ValueError("expected true")
        values = []
    elif isinstance(value, Struct):
        values = msgspec.structs.astuple(value)
    return _DEEDS[key](*values)
