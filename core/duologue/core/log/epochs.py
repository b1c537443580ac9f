"""The epochs of a log that does not number its connections.

A log of frames alone, or an application that feeds every record with epoch 0, still
shows its connections: each begins with ``session.created``, which carries another
session id. The state then counts the connections itself. A log with a
`duologue.connecting` is that of a live session, which numbers its connections.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ..events.session import SessionCreated
from ..events.translation import TranslationSessionCreated
from ..state.model import Connection
from .record import Record

__all__ = ["CREATED", "add_created_id", "epoch_of", "is_rejoined", "next_connection"]

#: The events with which the service begins a connection.
CREATED = frozenset({SessionCreated, TranslationSessionCreated})
#: Maximum length of `Connection.created_ids`.
_KEPT = 16


def epoch_of(connection: Connection, record: Record) -> int:
    """The epoch of a record in its session.

    This is the epoch in the record, except if the log does not number its connections:
    then it is counted by the session ids in ``session.created``.
    """
    known, given = connection.epoch, record.epoch
    first = known if connection.log_epoch is None else connection.log_epoch
    ids, server_id = connection.created_ids, _created_id(record)
    if ids is None or not first <= given <= known:
        return given
    if ids and server_id is not None:
        if server_id not in ids:
            return known + 1
        # A late copy belongs to the connection that it began.
        return known + 1 - len(ids) + ids.index(server_id)
    return known if given == first else given


def next_connection(connection: Connection, record: Record, epoch: int) -> Connection:
    """The connection after one of a later epoch has begun with this record."""
    if epoch != record.epoch:
        return replace(connection, epoch=epoch, log_epoch=record.epoch)
    ids = None if connection.created_ids is None else ()
    return replace(connection, epoch=epoch, log_epoch=None, created_ids=ids)


def add_created_id(connection: Connection, record: Record) -> Connection:
    """The connection with the session id of its ``session.created``."""
    ids, server_id = connection.created_ids, _created_id(record)
    if server_id is None or ids is None or server_id in ids:
        return connection
    return replace(connection, created_ids=(*ids[1 - _KEPT :], server_id))


def is_rejoined(connection: Connection, record: Record) -> bool:
    """Whether a sideband joins the session of this connection again."""
    ids, server_id = connection.created_ids, _created_id(record)
    return ids is not None and ids[-1:] == (server_id,)


def _created_id(record: Record) -> str | None:
    """The session id in a ``session.created`` of the session's own connection."""
    event: Any = record.event
    if event.__class__ not in CREATED or record.dir != "in" or record.src is not None:
        return None
    return event.session.id if isinstance(event.session.id, str) else None
