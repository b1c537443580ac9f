"""The requested configuration: its changes, until the service confirms or refuses them.

The requested configuration is the merge of all ``session.update``. Each change is kept
separately until its answer, so that a refused one does not affect the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.types import RealtimeEventType
from duologue.core.log.record import Record
from duologue.core.state.model import ConfigChange, Connection, Session
from duologue.core.wire.codec import decode
from duologue.core.wire.json_values import canonical_json, is_array, is_object, merged

from ..handler import Handler, put_connection, time_of
from .sent_events import MAX_SENT

__all__ = [
    "FIXED_FIELDS",
    "TABLE",
    "accept_update",
    "changes_of_field",
    "give_up_updates",
    "put_updates",
    "refuse_update",
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
    return canonical_json(_settings(values))


def _with_known(
    values: Any,
    event: events.SessionUpdate
    | events.SessionUpdated
    | events.TranslationSessionUpdate
    | events.TranslationSessionUpdated,
) -> Any:
    """The JSON values of a configuration, with known fields as they were decoded."""
    return merged(values, msgspec.json.decode(msgspec.json.encode(event.session)))


def accept_update(
    session: Session,
    event: events.SessionUpdated | events.TranslationSessionUpdated,
    record: Record,
) -> Session:
    """The session after the service has sent the configuration in force.

    It confirms a change in flight: the first one whose values it shows, if possible all
    of them. A service that shows no requested field confirms the changes in order. All
    others wait for their own answer, and keep only what a confirmed one did not set.
    """
    session = put_updates(session, session.connection.updates_in_flight[1:])
    connection = session.connection
    values = msgspec.json.decode(record.frame).get("session")
    found = _confirmed_change(connection, _settings(_with_known(values, event)))
    if found is None:
        return session
    changes, before = connection.changes, connection.accepted
    if before is None:
        # Earlier ones that were not sent were a part of the request to connect.
        first = changes[: changes.index(found)]
        delivered = [change for change in first if not change.sent]
        configs = (change.config for change in delivered)
        before = _merge_configs(_identity(changes[0].config), *configs)
        changes = tuple(change for change in changes if change not in delivered)
    connection = replace(
        connection,
        accepted=_merge_configs(before, found.config),
        last_accepted=(found.event_id, before),
        changes=tuple(_rest(changes, found)),
    )
    return put_connection(session, connection)


def _rest(
    changes: tuple[ConfigChange, ...], found: ConfigChange
) -> Iterator[ConfigChange]:
    """The changes that are left after one was confirmed."""
    for change in changes:
        if not change.sent or change.sent > found.sent:
            yield change
        elif change != found:
            left = _without(_read(change), _read(found))
            if _settings(left):
                yield replace(change, config=canonical_json(left), given_up=True)


def _confirmed_change(
    connection: Connection, confirmed: Mapping[str, Any]
) -> ConfigChange | None:
    """The change in flight that the configuration in force confirms."""
    sent = _sent_changes(connection)
    requested = msgspec.json.decode(connection.requested or "{}")
    if not requested.keys() & confirmed.keys():
        return next((change for change in sent if not change.given_up), None)
    best: ConfigChange | None = None
    for change in sent:
        shown = set(_compared(_settings(_read(change)), confirmed))
        if False in shown or shown == {None}:
            continue
        if None not in shown:
            return change
        best = best or change
    return best


def _sent_changes(connection: Connection) -> list[ConfigChange]:
    """The changes that were sent and not answered, in the order of their events."""
    sent = [change for change in connection.changes if change.sent]
    return sorted(sent, key=lambda change: change.sent)


def _compared(change: Any, confirmed: Any) -> Iterator[bool | None]:
    """For each value of a change whether it is in force, None if it is not shown.

    The service may add fields to an object.
    """
    if is_object(change) and is_object(confirmed):
        for key, value in change.items():
            if key in confirmed:
                yield from _compared(value, confirmed[key])
            else:
                yield None
    elif is_array(change) and is_array(confirmed) and 0 < len(change) == len(confirmed):
        for value, other in zip(change, confirmed, strict=True):
            yield from _compared(value, other)
    else:
        yield bool(change == confirmed)


def _without(change: Any, later: Any) -> Any:
    """A change without the values that a later one has replaced."""
    left = {
        key: _without(value, later[key]) if key in later else value
        for key, value in change.items()
        if key not in later or (is_object(value) and is_object(later[key]))
    }
    return {key: value for key, value in left.items() if value != {}}


def _read(change: ConfigChange) -> Any:
    return msgspec.json.decode(change.config)


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that an update can change."""
    return {key: values[key] for key in values if key not in (*FIXED_FIELDS, "type")}


def _identity(config: str) -> str:
    """What a session needs to connect, even if its configuration is refused."""
    values = msgspec.json.decode(config)
    return canonical_json(
        {key: values[key] for key in ("type", "model") if key in values}
    )


def changes_of_field(connection: Connection, field: str) -> list[ConfigChange]:
    """The changes in flight that set this field."""
    return [
        change
        for change in _sent_changes(connection)
        if field in _settings(_read(change))
    ]


def refuse_update(
    session: Session, event_id: str | None = None, field: str = ""
) -> Session:
    """The session after an error has refused a ``session.update``.

    It is the one that the event sent, even if it seemed confirmed; or else the first
    one in flight that sets the field, or the first one: a service answers in order.
    """
    session = put_updates(session, session.connection.updates_in_flight[1:])
    connection = session.connection
    sent = _sent_changes(connection)
    if event_id is not None:
        sent = [change for change in sent if change.event_id == event_id]
    else:
        sent = changes_of_field(connection, field) or sent
    changes, accepted, last = (
        connection.changes,
        connection.accepted,
        connection.last_accepted,
    )
    if sent:
        if accepted is None and changes[0] == sent[0]:
            accepted = _identity(sent[0].config)
        changes = tuple(change for change in changes if change != sent[0])
    elif last is not None and event_id is not None and last[0] == event_id:
        accepted, last = last[1], None
    connection = replace(
        connection, accepted=accepted, changes=changes, last_accepted=last
    )
    return put_connection(session, connection)


def give_up_updates(session: Session, waiting: tuple[float, ...]) -> Session:
    """The session with only these updates in flight; their order confirms no other."""
    number = len(session.connection.updates_in_flight) - len(waiting)
    connection = session.connection
    sent = [each for each in _sent_changes(connection) if not each.given_up][:number]
    changes = tuple(
        replace(change, given_up=True) if change in sent else change
        for change in connection.changes
    )
    session = put_connection(session, replace(connection, changes=changes))
    return put_updates(session, waiting)


def unsent_again(connection: Connection) -> Connection:
    """A new connection: no change was sent on it yet."""
    changes = tuple(
        replace(change, sent=0, event_id=None)
        for change in connection.changes
        if not change.is_restored
    )
    return replace(
        connection, changes=changes, updates_in_flight=(), last_accepted=None
    )


def wanted_config(connection: Connection) -> str:
    """The configuration to connect with, as JSON.

    It is the accepted one with the changes that may be accepted. Those that were given
    up may be invalid: they are sent apart. But only a new connection can set the model.
    """
    changes = [
        _identity(each.config) if each.given_up else each.config
        for each in connection.changes
        if not each.is_restored
    ]
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
