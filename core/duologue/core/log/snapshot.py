"""Snapshots: writes a state as bytes and reads it. Equal states give equal bytes."""

from __future__ import annotations

from typing import Any, cast, get_args, get_origin

import msgspec
from immutables import Map
from msgspec.structs import asdict, astuple

from ..argument_checks import require
from ..errors import SnapshotError
from ..state.dedup import Dedup, Ignored, SentEvent
from ..state.id_sequence import IdSequence
from ..state.model import Session, State
from ..state.rope import Rope
from .upgrades import upgrade_snapshot

__all__ = ["VERSION", "dump", "load"]

#: The version of the format.
VERSION = 2


def dump(state: State) -> bytes:
    """The state as canonical JSON: keys in order, a rope as one string.

    Raises TypeError if ``state`` is not a `State`.
    """
    require(state, State, "dump: the state")
    sessions = {name: _to_save(session) for name, session in state.sessions.items()}
    return msgspec.json.encode(
        {"duologue": VERSION, "state": {"sessions": sessions}},
        enc_hook=_plain,
        order="sorted",
    )


def load(data: bytes) -> State:
    """The state in a snapshot that this or an earlier version of `dump` wrote.

    Raises `SnapshotError` if the bytes are not a snapshot or have a later version,
    TypeError if ``data`` is not bytes.
    """
    require(data, bytes, "load: the snapshot")
    try:
        # The other fields depend on the version.
        version = msgspec.json.decode(data, type=_Head).duologue
        if version > VERSION:
            raise SnapshotError(
                f"snapshot version {version}, this duologue reads {VERSION}"
            )
        data = upgrade_snapshot(data, to=VERSION)
        snapshot = msgspec.json.decode(data, type=_Snapshot, dec_hook=_typed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"not a snapshot: {error}") from None
    sessions = snapshot.state.sessions
    for name, saved in sessions.items():
        if saved.id != name:
            raise SnapshotError(f"not a snapshot: session {name!r} says {saved.id!r}")
    return State(Map({name: _as_saved(saved) for name, saved in sessions.items()}))


class _Head(msgspec.Struct):
    duologue: int


class _SavedDedup(msgspec.Struct, frozen=True):
    """A `Dedup` without its window, which states share."""

    events: int = 0
    seen: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    sent: tuple[SentEvent, ...] = ()
    ignored: Ignored = Ignored()


class _SavedSession(Session, frozen=True, gc=False):
    dedup: _SavedDedup = _SavedDedup()  # type: ignore[assignment]


class _Sessions(msgspec.Struct):
    # A dict, because the values of a `Map` are converted, not decoded: configurations
    # hold `msgspec.Raw`, which only decoding makes.
    sessions: dict[str, _SavedSession]


class _Snapshot(_Head):
    state: _Sessions


def _to_save(session: Session) -> dict[str, Any]:
    dedup = session.dedup
    saved = {name: getattr(dedup, name) for name in _SavedDedup.__struct_fields__}
    return {**asdict(session), "dedup": saved}


def _as_saved(saved: _SavedSession) -> Session:
    fields: dict[str, Any] = asdict(saved)
    fields["dedup"] = Dedup.of(*astuple(saved.dedup))
    return Session(**fields)


def _plain(value: Any) -> Any:
    if isinstance(value, Map):
        return dict(cast(Map[str, Any], value))
    if isinstance(value, Rope):
        return str(value)
    if isinstance(value, IdSequence):
        return list(value)
    raise NotImplementedError(repr(value))  # pragma: no cover - as below


def _typed(wanted: Any, value: Any) -> Any:
    if wanted is Rope:
        return Rope(msgspec.convert(value, str))
    if wanted is IdSequence:
        return IdSequence(msgspec.convert(value, tuple[str, ...]))
    if get_origin(wanted) is Map:
        values: Any = dict.__class_getitem__(get_args(wanted))
        return Map(msgspec.convert(value, values, dec_hook=_typed))
    raise NotImplementedError(wanted)  # pragma: no cover - a class is missing
