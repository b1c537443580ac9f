"""What a log says of a session and of one of its connections."""

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

__all__ = ["channel", "configuration", "ends_with_a_send", "made_by_itself", "readable"]

#: The ``src`` of what came by a second connection to a call.
SIDEBAND = "sideband"
#: Facts that a client learns from its transport or its clock, and not by itself.
_FACTS = (events.Played, events.Tick)


def readable(path: str | Path) -> tuple[list[Record], LogError | None]:
    """The records of a log up to its end, or to what cannot be read of it."""
    records: list[Record] = []
    try:
        records.extend(read_log_file(path))
    except LogError as error:
        if not records:
            raise
        return records, error
    return records, None


def made_by_itself(records: tuple[Record, ...]) -> frozenset[int]:
    """The ``seq`` of what a transport does again: nobody else sends or tells it.

    A log of frames alone (of another program) does not say who sent what. There the
    sound was the transport's, and the first event, if it is the configuration.
    """
    made = {
        record.seq
        for record in records
        if record.src == OWN or isinstance(record.event, _FACTS)
    }
    if all(record.dir != "local" or _is_close(record) for record in records):
        out = [record for record in records if record.dir == "out"]
        made |= {r.seq for r in out if is_append(r.event)}
        first = next((r for r in out if r.seq not in made), None)
        if first is not None and _kind(first) == "session.update":
            made.add(first.seq)
    return frozenset(made)


def channel(session: tuple[Record, ...]) -> str | None:
    """The ``src`` of the frames that were the session's.

    That of a sideband where there is no channel of its own, else None.
    """
    sources = {record.src for record in session if record.dir == "in"}
    return SIDEBAND if None not in sources and SIDEBAND in sources else None


def ends_with_a_send(records: tuple[Record, ...]) -> bool:
    """Whether the end of the connection stands behind something that was sent."""
    for before, after in pairwise(records):
        if isinstance(after.event, events.Disconnected):
            return before.dir == "out"
    return False


def _is_close(record: Record) -> bool:
    return isinstance(record.event, events.Disconnected)


def _kind(record: Record) -> Any:
    with contextlib.suppress(msgspec.DecodeError, UnicodeError, AttributeError):
        return msgspec.json.decode(record.frame).get("type")
    return None


def configuration(records: tuple[Record, ...]) -> Any:
    """The session that was asked for before the connection stood; None if unknown."""
    for record in records:
        if isinstance(record.event, events.Connected):
            break
        if isinstance(record.event, events.Requested):
            wish = record.event.event
            if wish.get("type") == "session.update":
                return wish.get("session")
    return None
