"""The requested configuration: its changes, until the service confirms or refuses them.

The requested configuration is the merge of all ``session.update``. Each change is kept
separately until its answer, so that a refused one does not affect the others.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.types import RealtimeEventType
from duologue.core.log.record import Record
from duologue.core.state.model import ConfigChange, Connection, Session
from duologue.core.wire.codec import decode
from duologue.core.wire.json_values import canonical_json, merged

from ..handler import Handler, put_connection, time_of
from .sent_events import MAX_SENT

__all__ = [
    "FIXED_FIELDS",
    "TABLE",
    "answer_update",
    "put_updates",
    "request_change",
    "unsent_again",
    "wanted_config",
]

#: Fields that a session does not accept in an update.
FIXED_FIELDS = ("id", "object", "model", "expires_at")

_UPDATE = RealtimeEventType.SESSION_UPDATE.value


def request_change(session: Session, config: Any) -> Session:
    """The session with a change of its configuration requested."""
    change = ConfigChange(canonical_json(config))
    changes = session.connection.changes
    if changes[-1:] != (change,):
        session = _put_changes(session, (*changes, change))
    return _request_config(session, config)


def _request_config(session: Session, config: Any) -> Session:
    """The session with this change merged into the requested configuration."""
    before = session.connection.requested
    if before is not None:
        change = msgspec.json.decode(msgspec.json.encode(config))
        config = merged(msgspec.json.decode(before), change)
    # As text, because the state is immutable.
    requested = canonical_json(config)
    return put_connection(session, replace(session.connection, requested=requested))


def _on_update(
    session: Session,
    event: events.SessionUpdate | events.TranslationSessionUpdate,
    record: Record,
) -> Session:
    # With the fields that are not in the catalogue.
    config = _with_known(msgspec.json.decode(record.frame).get("session"), event)
    session = _change_sent(session, canonical_json(config), event.event_id)
    session = _request_config(session, config)
    at = time_of(session, record)
    if at is None:
        return session
    updates = (*session.connection.updates_in_flight[1 - MAX_SENT :], at)
    return put_updates(session, updates)


def put_updates(session: Session, updates: tuple[float, ...]) -> Session:
    """The session with the times of the updates in flight."""
    connection = replace(session.connection, updates_in_flight=updates)
    return put_connection(session, connection)


def _change_sent(session: Session, config: str, event_id: str | None) -> Session:
    """The session with this change in flight, which may have been requested before."""
    connection = session.connection
    key, changes = _comparable(config, connection), connection.changes
    number = session.dedup.events + 1
    for index, known in enumerate(changes):
        if not known.sent and _comparable(known.config, connection) == key:
            sent = replace(known, sent=number, event_id=event_id)
            return _put_changes(
                session, (*changes[:index], sent, *changes[index + 1 :])
            )
    restored = (connection.base, wanted_config(connection))
    is_restored = key in [_comparable(each, connection) for each in restored]
    sent = ConfigChange(config, number, event_id, is_restored)
    return _put_changes(session, (*changes, sent))


def _put_changes(session: Session, changes: tuple[ConfigChange, ...]) -> Session:
    if len(changes) > MAX_SENT:
        # The first one may be the configuration of the session.
        first, second, third, *rest = changes
        both = replace(
            third,
            config=_merge_configs(second.config, third.config),
            is_restored=second.is_restored and third.is_restored,
        )
        changes = (first, both, *rest)
    return put_connection(session, replace(session.connection, changes=changes))


def _comparable(config: str, connection: Connection) -> str:
    """A configuration without the fields that an update cannot change."""
    values = msgspec.json.decode(config)
    frame = msgspec.json.encode({"type": _UPDATE, "session": values})
    event = decode(frame, kind=connection.kind)
    if isinstance(event, events.SessionUpdate | events.TranslationSessionUpdate):
        values = _with_known(values, event)
    return canonical_json(
        {key: values[key] for key in values if key not in (*FIXED_FIELDS, "type")}
    )


def _with_known(
    values: Any, event: events.SessionUpdate | events.TranslationSessionUpdate
) -> Any:
    """The JSON values of a configuration, with known fields as they were decoded."""
    return merged(values, msgspec.json.decode(msgspec.json.encode(event.session)))


def answer_update(
    session: Session, *, is_accepted: bool = True, event_id: str | None = None
) -> Session:
    """The session after the answer to a ``session.update`` in flight.

    Without an ``event_id`` to the first: a service answers in order.
    """
    session = put_updates(session, session.connection.updates_in_flight[1:])
    connection = session.connection
    changes, accepted = connection.changes, connection.accepted
    sent = [
        change
        for change in changes
        if change.sent and event_id in (None, change.event_id)
    ]
    if not sent:
        return session
    found = min(sent, key=lambda change: change.sent)
    index = changes.index(found)
    first, rest = changes[:index], changes[index + 1 :]
    if is_accepted and accepted is None:
        # Earlier ones that were not sent were a part of the request to connect.
        delivered = [change.config for change in first if not change.sent]
        first = tuple(change for change in first if change.sent)
        accepted = _merge_configs(*delivered, found.config)
    elif is_accepted:
        accepted = _merge_configs(accepted or "{}", found.config)
    elif accepted is None and index == 0:
        # The session still needs its model to connect.
        values = msgspec.json.decode(found.config)
        identity = {key: values[key] for key in ("type", "model") if key in values}
        accepted = canonical_json(identity)
    connection = replace(connection, accepted=accepted, changes=(*first, *rest))
    return put_connection(session, connection)


def unsent_again(connection: Connection) -> Connection:
    """A new connection: no change was sent on it yet."""
    changes = tuple(
        replace(change, sent=0, event_id=None)
        for change in connection.changes
        if not change.is_restored
    )
    return replace(connection, changes=changes, updates_in_flight=())


def wanted_config(connection: Connection) -> str:
    """The accepted configuration with all changes that were not refused, as JSON."""
    changes = [each.config for each in connection.changes if not each.is_restored]
    return _merge_configs(connection.base, *changes)


def _merge_configs(*configs: str) -> str:
    first, *changes = map(msgspec.json.decode, configs)
    for change in changes:
        first = merged(first, change)
    return canonical_json(first)


TABLE: dict[type, Handler] = {
    events.SessionUpdate: _on_update,
    events.TranslationSessionUpdate: _on_update,
}
