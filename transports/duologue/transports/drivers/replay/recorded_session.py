"""A recorded session: its records, configuration, channel and transport events."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.wire.audio_fields import is_append

from ...contract import OWN
from ...errors import LogError
from ..recording.log_file import read_log_file

__all__ = [
    "channel",
    "configuration",
    "ends_with_a_send",
    "event_fields",
    "event_type",
    "made_by_transport",
    "readable",
]

#: The ``src`` of frames that were received on a sideband.
SIDEBAND = "sideband"
#: The local facts that a transport or the clock makes.
_TRANSPORT_FACTS = (events.Played, events.Tick)


def readable(path: str | Path) -> tuple[list[Record], LogError | None]:
    """The records of a log up to its first error, and this error, if any."""
    records: list[Record] = []
    try:
        records.extend(read_log_file(path))
    except LogError as error:
        if not records:
            raise
        return records, error
    return records, None


def made_by_transport(records: tuple[Record, ...]) -> frozenset[int]:
    """The ``seq`` of the records that the transport made; a replay makes them again.

    A log of another program may have no local facts except `Disconnected`. Then all
    sent audio counts as made by the transport, and so does the first other sent event
    if it is a ``session.update``.
    """
    made = {
        record.seq
        for record in records
        if record.src == OWN or isinstance(record.event, _TRANSPORT_FACTS)
    }
    facts = [record.event for record in records if record.dir == "local"]
    if all(isinstance(fact, events.Disconnected) for fact in facts):
        out = [record for record in records if record.dir == "out"]
        made |= {r.seq for r in out if is_append(r.event)}
        first = next((r for r in out if r.seq not in made), None)
        if first is not None and event_type(first.frame) == "session.update":
            made.add(first.seq)
    return frozenset(made)


def channel(records: tuple[Record, ...]) -> str | None:
    """`SIDEBAND` if a sideband received all frames of the session, else None."""
    sources = {record.src for record in records if record.dir == "in"}
    return SIDEBAND if None not in sources and SIDEBAND in sources else None


def ends_with_a_send(records: tuple[Record, ...]) -> bool:
    """Whether the last record before the end of the connection is a sent event.

    Requests of the application do not count, because they need no connection.
    """
    others = (r for r in records if not isinstance(r.event, events.Requested))
    for before, after in pairwise(others):
        if isinstance(after.event, events.Disconnected):
            return before.dir == "out"
    return False


def event_fields(frame: bytes | str) -> dict[str, Any] | None:
    """The fields of an event; None if the frame is not a JSON object."""
    fields: Any = None
    with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
        fields = msgspec.json.decode(frame)
    return fields if isinstance(fields, dict) else None


def event_type(frame: bytes | str) -> Any:
    """The ``type`` of an event; None if it has none."""
    return (event_fields(frame) or {}).get("type")


def configuration(records: tuple[Record, ...]) -> Any:
    """The configuration requested before the connection opened; None if unknown."""
    for record in records:
        if isinstance(record.event, events.Connected):
            break
        if isinstance(record.event, events.Requested):
            requested = record.event.event
            if requested.get("type") == "session.update":
                return requested.get("session")
    return None
