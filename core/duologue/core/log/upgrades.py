"""Upgrades of snapshots and log lines of older versions.

Each table maps a version to the function that upgrades a document of that version to
the next. Old files stay readable: a change of a format adds an entry, and no entry is
ever removed. Snapshots have two versions, lines one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..errors import LogError, SnapshotError

__all__ = ["LINES", "SNAPSHOTS", "upgrade_line", "upgrade_snapshot"]

#: A snapshot as JSON values, without its version.
Snapshot = dict[str, Any]
#: A line as keys and JSON text, so that the frame stays unchanged.
Line = dict[str, msgspec.Raw]


def _rename(node: dict[str, Any], names: Mapping[str, str]) -> None:
    for old, new in names.items():
        if old in node:
            node[new] = node.pop(old)


def _snapshot_from_1(document: Snapshot) -> Snapshot:
    """Rename the slices and fields of sessions."""
    for session in document["state"]["sessions"].values():
        _rename(session, {"tally": "dedup", "ledger": "usage"})
        usage: dict[str, Any] = session.get("usage", {})
        session["problems"] = usage.pop("problems", [])
        _rename(usage, {"usage": "tokens"})
        activity = session.get("activity", {})
        _rename(activity, _ACTIVITY_NAMES)
        _rename(session.get("conversation", {}), _CONVERSATION_NAMES)
        responses = session.get("responses", {})
        _rename(responses, {"wished": "queued", "asked": "in_flight"})
        for response in responses.get("by_id", {}).values():
            _rename(response.get("turn", {}), {"audio_made_at": "audio_generated_at"})
    return document


_ACTIVITY_NAMES = {
    "keys": "dtmf_keys",
    "last_spoken": "unanswered_item",
    "ticked_at": "last_tick_at",
}
_CONVERSATION_NAMES = {"anchor": "epoch_boundary", "waiting": "orphans"}

#: By version, the upgrade of a snapshot to the next version.
SNAPSHOTS: Mapping[int, Callable[[Snapshot], Snapshot]] = {1: _snapshot_from_1}
#: By version, the upgrade of a line to the next version.
LINES: Mapping[int, Callable[[Line], Line]] = {}


class _SnapshotHead(msgspec.Struct):
    duologue: int


class _LineHead(msgspec.Struct):
    v: int


def upgrade_snapshot(
    data: bytes,
    *,
    to: int,
    table: Mapping[int, Callable[[Snapshot], Snapshot]] | None = None,
) -> bytes:
    """The snapshot in version ``to``; unchanged if it is not older.

    Raises `SnapshotError` if there is no upgrade or a value has an invalid type,
    msgspec's errors if the bytes are not a snapshot.
    """
    version = msgspec.json.decode(data, type=_SnapshotHead).duologue
    if version >= to:
        return data
    document: Snapshot = msgspec.json.decode(data)
    for step in range(version, to):
        upgrade = (SNAPSHOTS if table is None else table).get(step)
        if upgrade is None:
            raise SnapshotError(f"snapshot version {version} cannot be read any more")
        try:
            document = upgrade(document)
        except (AttributeError, KeyError, TypeError) as error:
            # A value of another type, or none.
            raise SnapshotError(f"not a snapshot: {error!r}") from None
    return msgspec.json.encode({**document, "duologue": to})


def upgrade_line(
    line: bytes,
    number: int,
    *,
    to: int,
    table: Mapping[int, Callable[[Line], Line]] | None = None,
) -> bytes:
    """Line ``number`` of a log in version ``to``; unchanged if it is not older.

    An upgraded line has no checksum. A line without a version is unchanged. Raises
    `LogError` if there is no upgrade.
    """
    version = _version(line)
    if version is None or version >= to:
        return line
    document = msgspec.json.decode(line, type=Line)
    document.pop("crc", None)
    for step in range(version, to):
        upgrade = (LINES if table is None else table).get(step)
        if upgrade is None:
            raise LogError(
                f"line {number}: version {version} cannot be read any more", line=number
            )
        document = upgrade(document)
    return msgspec.json.encode({**document, "v": to})


def _version(line: bytes) -> int | None:
    try:
        return msgspec.json.decode(line, type=_LineHead).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
