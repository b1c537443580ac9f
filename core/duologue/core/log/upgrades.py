"""How snapshots and lines of logs of older versions are read.

Each table has, by version, the function that makes of a document of that version one
of the next. Old files stay readable for good: a change of a format adds an entry, and
no entry leaves. There is one version of each so far, so the tables are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..errors import LogError, SnapshotError

__all__ = ["LINES", "SNAPSHOTS", "upgrade_line", "upgrade_snapshot"]

#: A snapshot as JSON values, its version left to us.
Snapshot = dict[str, Any]
#: A line by its keys; the values are JSON text, so that a frame stays as it came.
Line = dict[str, msgspec.Raw]

#: By version, what makes of a snapshot one of the next.
SNAPSHOTS: Mapping[int, Callable[[Snapshot], Snapshot]] = {}
#: By version, what makes of a line one of the next.
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
    """A snapshot in version ``to``; as it is if it is not older.

    Raises `SnapshotError` where there is no way, msgspec's errors for what is no
    snapshot.
    """
    version = msgspec.json.decode(data, type=_SnapshotHead).duologue
    if version >= to:
        return data
    document: Snapshot = msgspec.json.decode(data)
    for step in range(version, to):
        upgrade = (SNAPSHOTS if table is None else table).get(step)
        if upgrade is None:
            raise SnapshotError(f"snapshot version {version} cannot be read any more")
        document = upgrade(document)
    return msgspec.json.encode({**document, "duologue": to})


def upgrade_line(
    line: bytes,
    number: int,
    *,
    to: int,
    table: Mapping[int, Callable[[Line], Line]] | None = None,
) -> bytes:
    """Line ``number`` of a log in version ``to``; as it is if it is not older.

    Its checksum, which was that of the old line, is not in it any more. What names no
    version is of none. Raises `LogError` where there is no way.
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
