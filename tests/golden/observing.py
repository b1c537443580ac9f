"""The visible results of a stream, as JSON values without module names.

Field names of the state are left out, because they may change: an item or a response is
replaced by its id, any other object by its class and its sorted values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

import attrs
import msgspec

import duologue.core
from duologue.core import (
    Call,
    Command,
    Item,
    Record,
    Response,
    Send,
    Session,
    State,
    apply,
    encode,
    patch,
    react,
    reduce,
    select_latest,
    select_metadata,
    select_transcripts_by_role,
    select_turn,
    summary,
    view,
)

from .differences import CHANGED
from .store import compact

#: The selectors with one argument, the session.
SELECTORS = (
    *("select_cost", "select_dtmf", "select_final_transcripts", "select_is_connected"),
    *("select_is_muted", "select_is_settled", "select_is_speaking", "select_items"),
    *("select_pending_approvals", "select_pending_calls", "select_problems"),
    *("select_rate_limits", "select_responses", "select_running_calls"),
    *("select_transcription_usage", "select_transcripts", "select_translation"),
    *("select_turns", "select_usage", "select_words_missing"),
)
#: The selectors with a second argument.
BY_ITEM: Mapping[str, Callable[[Session, str], Any]] = {
    "select_metadata": select_metadata,
    "select_turn": select_turn,
}
#: Classes of the state that were renamed since, with their golden names.
RENAMED = {"DtmfKey": "Key"}
ROLES = ("user", "assistant", "system")
LATEST = 5


def observe(records: Iterable[Record]) -> tuple[State, dict[str, Any]]:
    """The state after the records, and the visible results on the way.

    Raises AssertionError if a patch does not produce the next view.
    """
    state, commands = State(), []
    pages: dict[str, Any] = {}
    patches, steps = hashlib.sha256(), 0
    for number, record in enumerate(records, start=1):
        before, state = state, reduce(state, record)
        commands += [
            [number, command_view(command)] for command in react(before, record, state)
        ]
        after = state.sessions.get(record.session)
        if after is None:
            pages.pop(record.session, None)
            continue
        earlier = before.sessions.get(record.session) or Session(record.session)
        operations = patch(earlier, after, record)
        page = pages.get(record.session)
        page = apply(view(earlier) if page is None else page, operations)
        assert compact(page) == compact(view(after)), f"the patch of record {number}"
        pages[record.session] = page
        patches.update(compact(operations) + b"\n")
        steps += len(operations)
    return state, {
        "commands": commands,
        "patches": {"sha256": patches.hexdigest(), "operations": steps},
        "sessions": {
            name: session_view(session)
            for name, session in sorted(state.sessions.items())
        },
    }


def command_view(command: Command) -> dict[str, Any]:
    """A command by its class and its values; its event as wire JSON."""
    if isinstance(command, Send):
        event = msgspec.json.decode(encode(command.event))
        name = type(command.event).__name__
        return {
            "class": "Send",
            "session": command.session,
            "event_class": name,
            "event": event,
        }
    return {
        "class": type(command).__name__,
        **{field.name: plain(value) for field, value in _attrs_values(command)},
    }


def session_view(session: Session) -> dict[str, Any]:
    """Its view, its summary, and the result of every selector."""
    shown = view(session)
    found: dict[str, Any] = {
        name: plain(getattr(duologue.core, name)(session)) for name in SELECTORS
    }
    found["select_latest"] = plain(select_latest(session, LATEST))
    found["select_transcripts_by_role"] = {
        role: plain(select_transcripts_by_role(session, role)) for role in ROLES
    }
    for name, select in BY_ITEM.items():
        values = {
            item_id: plain(select(session, item_id)) for item_id in shown["items"]
        }
        found[name] = {item_id: value for item_id, value in values.items() if value}
    return {"view": shown, "summary": summary(session), "selectors": found}


def joined(value: Any, key: str = "") -> Any:
    """The same with texts joined, as after `dump` and `load`."""
    if isinstance(value, dict):
        return {name: joined(one, name) for name, one in value.items()}
    if isinstance(value, list):
        if key in ("chunks", "arguments"):
            return "".join(value)
        return [joined(one) for one in value]
    return value


def plain(value: Any) -> Any:
    """The result of a selector as JSON values."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Item | Response):
        return value.id
    if isinstance(value, msgspec.Struct):
        values = [plain(one) for one in msgspec.structs.astuple(value)]
        if isinstance(value, Call) and value.alias is None:
            # It is the last field, and new.
            del values[-1]
        name = type(value).__name__
        return {"class": RENAMED.get(name, name), "values": sorted(values, key=compact)}
    if attrs.has(type(value)):
        fields = {field.name: plain(one) for field, one in _attrs_values(value)}
        return {"class": type(value).__name__, **fields}
    as_dict = getattr(value, "_asdict", None)
    if as_dict is not None:
        fields = {name: plain(one) for name, one in as_dict().items()}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in sorted(value.items())}
    return str(value)


def _attrs_values(value: Any) -> list[tuple[Any, Any]]:
    return [(field, getattr(value, field.name)) for field in attrs.fields(type(value))]


def comparable(seen: Any) -> Any:
    """What was observed, without the keys of `CHANGED`."""
    if isinstance(seen, dict):
        kept = {key: one for key, one in seen.items() if key not in CHANGED}
        return {key: comparable(one) for key, one in kept.items()}
    return [comparable(one) for one in seen] if isinstance(seen, list) else seen
