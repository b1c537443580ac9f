"""A state as bytes and back. The same state gives the same bytes, everywhere."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import msgspec
from immutables import Map

from .errors import SnapshotError
from .order import Order
from .state import State
from .text import Text

__all__ = ["VERSION", "dump", "load"]

#: The version of the format.
VERSION = 1


def dump(state: State) -> bytes:
    """Canonical JSON: keys in order, a growing text as one string."""
    return msgspec.json.encode(
        {"duologue": VERSION, "state": state}, enc_hook=_plain, order="sorted"
    )


def load(data: bytes) -> State:
    """The state that `dump` wrote.

    Raises `SnapshotError` for anything else, and for a version from the future.
    """
    try:
        snapshot = msgspec.json.decode(data, type=_Snapshot, dec_hook=_typed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"not a snapshot: {error}") from None
    if snapshot.duologue != VERSION:
        raise SnapshotError(
            f"snapshot version {snapshot.duologue}, this duologue reads {VERSION}"
        )
    return snapshot.state


class _Snapshot(msgspec.Struct):
    duologue: int
    state: State


def _plain(value: Any) -> Any:
    if isinstance(value, Map):
        return dict(value)
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Order):
        return list(value)
    raise NotImplementedError(type(value))


def _typed(type: Any, value: Any) -> Any:
    if type is Text:
        return Text(value)
    if type is Order:
        return Order(value)
    if get_origin(type) is Map:
        values: Any = dict.__class_getitem__(get_args(type))
        return Map(msgspec.convert(value, values, dec_hook=_typed))
    raise NotImplementedError(type)
