"""Views: a session as JSON, for a page, a feed or a command.

`view` is the live form. It holds each text once, as a list of chunks that grows until
the final text replaces it, so a change is small: `patch` computes the difference of two
views, and `apply` applies it. `summary` is the final form, with joined texts, counters
and cost.

Each node of the state has one function here; `patch` uses the same functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import msgspec

from ..argument_checks import of_session
from ..prices import Prices
from ..selectors.cost import Cost, select_cost
from ..selectors.items import shown_items
from ..selectors.transcript import Transcript, select_transcripts, transcript_of
from ..selectors.turns import select_metadata, select_turns, turn_times
from ..state.model import (
    Activity,
    Call,
    Connection,
    Item,
    Part,
    Response,
    Session,
    Translation,
)
from ..wire.json_values import is_array, is_object

__all__ = ["summary", "view"]

#: The credentials of MCP servers, left out because pages show views.
_SECRETS = ("authorization", "headers")
#: Decimal places of US dollars in JSON.
_DECIMALS = 9


@of_session
def view(session: Session) -> dict[str, Any]:
    """The session as JSON values, without internal counters and indexes.

    Deleted items are excluded. ``order`` holds the ids of the shown items; cleared
    items and the output of out-of-band responses are in ``items`` only.
    """
    conversation, responses = session.conversation, session.responses
    return {
        "id": session.id,
        **connection_view(session.connection),
        "conversation_id": conversation.id,
        "order": shown_ids(session),
        "items": {
            item_id: item_view(item)
            for item_id in sorted(session.items)
            if (item := find_item(session, item_id)) is not None
        },
        "gaps": list(conversation.gaps),
        "translation": translation_view(conversation.translation),
        "responses": {
            response_id: response_view(responses.by_id[response_id])
            for response_id in sorted(responses.by_id)
        },
        "response_order": list(responses.order),
        "active": responses.active,
        "activity": activity_view(session.activity),
        **usage_view(session),
    }


def plain(node: Any) -> dict[str, Any]:
    """A struct or attrs object as a JSON object; its fields must be JSON values."""
    if isinstance(node, msgspec.Struct):
        return msgspec.structs.asdict(node)
    names: dict[str, Any] = attrs.fields_dict(node.__class__)
    return {name: getattr(node, name) for name in names}


def connection_view(connection: Connection) -> dict[str, Any]:
    """The connection, with the requested and the confirmed configuration."""
    requested, confirmed = connection.requested, connection.confirmed
    return {
        "kind": connection.kind.value,
        "status": connection.status.value,
        "reason": connection.reason,
        "epoch": connection.epoch,
        "server_id": connection.server_id,
        "expires_at": connection.expires_at,
        "reconnections": [plain(each) for each in connection.reconnections],
        "requested": None if requested is None else _config(requested),
        "confirmed": None
        if confirmed is None
        else _config(msgspec.json.encode(confirmed)),
    }


def _config(json: str | bytes) -> Any:
    """A configuration without the credentials of its tools."""
    config = msgspec.json.decode(json)
    tools = config.get("tools") if is_object(config) else None
    if is_array(tools):
        for tool in filter(is_object, tools):
            for name in _SECRETS:
                tool.pop(name, None)
    return config


def find_item(session: Session, item_id: str) -> Item | None:
    """The item; None if it does not exist or was deleted."""
    item = session.items.get(item_id)
    return None if item is None or item.status == "deleted" else item


def shown_ids(session: Session) -> list[str]:
    """The ids of the items since the transcripts were last cleared, in order."""
    return [item.id for item in shown_items(session)][::-1]


def item_view(item: Item) -> dict[str, Any]:
    """An item with its parts and its call."""
    return {
        **item_head(item),
        "parts": [part_view(part) for part in item.parts],
        "call": None if item.call is None else call_view(item.call),
    }


def item_head(item: Item) -> dict[str, Any]:
    """The fields of an item without its text."""
    placement, cut = item.placement, item.truncation
    return {
        "type": item.type,
        "role": item.role,
        "status": item.status,
        "response_id": placement.response_id,
        "started_at": placement.started_at,
        "finished_at": placement.finished_at,
        "phase": placement.phase,
        "interrupted": None if cut is None else cut.audio_end_ms,
        "heard": None if cut is None else cut.heard,
        "confirmed": None if cut is None else cut.confirmed,
    }


def part_view(part: Part) -> dict[str, Any]:
    """A part of an item, with its text in chunks."""
    return {**part_head(part), "chunks": part.text.chunks()}


def part_head(part: Part) -> dict[str, Any]:
    """The fields of a part without its text."""
    head: dict[str, Any] = {"type": part.type, "final": part.final}
    if part.failure is not None:
        head["failure"] = part.failure
    if part.segments:
        head["segments"] = [plain(segment) for segment in part.segments]
    return head


def call_view(call: Call) -> dict[str, Any]:
    """A call, output, approval or tool list, with its arguments in chunks."""
    return {**call_head(call), "arguments": call.arguments.chunks()}


def call_head(call: Call) -> dict[str, Any]:
    """The fields of a call without its arguments; only the names of listed tools."""
    mcp = call.mcp
    return {
        "name": call.name,
        "call_id": call.call_id,
        "final": call.final,
        "complete": call.complete,
        "running": call.running,
        "answered": call.answered,
        "output": call.output,
        "error": call.error,
        "mcp": None
        if mcp is None
        else {**plain(mcp), "tools": [tool.name for tool in mcp.tools]},
    }


def translation_view(translation: Translation | None) -> dict[str, Any] | None:
    """The texts of a translation in chunks, and its configuration."""
    if translation is None:
        return None
    return {
        **translation_head(translation),
        "input": {"chunks": translation.input.chunks()},
        "output": {"chunks": translation.output.chunks()},
    }


def translation_head(translation: Translation) -> dict[str, Any]:
    """The fields of a translation without its texts."""
    confirmed = translation.confirmed
    return {
        "confirmed": None if confirmed is None else _config(confirmed),
        "closed": translation.closed,
    }


def response_view(response: Response) -> dict[str, Any]:
    """A response with the latencies of its turn in ms, as in `TurnTimes`."""
    times = turn_times(response)
    return {
        "status": response.status,
        "reason": response.reason,
        "in_conversation": response.in_conversation,
        "item_ids": list(response.item_ids),
        "metadata": dict(response.metadata),
        "item_id": times.item_id,
        "first_audio_ms": times.first_audio_ms,
        "first_text_ms": times.first_text_ms,
        "barge_in_ms": times.barge_in_ms,
    }


def activity_view(activity: Activity) -> dict[str, Any]:
    """The speakers, and the state of the microphone and the volume."""
    return {
        "speaking_item": activity.speaking_item,
        "playing": activity.playing,
        "muted": activity.muted,
        "volume": activity.volume,
        "keys": [plain(key) for key in activity.dtmf_keys],
    }


def usage_view(session: Session) -> dict[str, Any]:
    """Usage, problems and rate limits."""
    usage = session.usage
    return {
        "usage": plain(usage.tokens),
        "transcription_usage": plain(usage.transcription),
        "problems": [plain(problem) for problem in session.problems],
        "rate_limits": [plain(limit) for limit in usage.rate_limits],
    }


@of_session
def summary(session: Session, prices: Prices | None = None) -> dict[str, Any]:
    """The session as JSON values, for the end of a session.

    ``items`` are the items of the conversation in order, cleared ones included, then
    the out-of-band ones. The ``text`` of a call is its arguments, of a function
    output the output. Any other text is stripped, as in ``transcript``. Dollars are
    rounded to nine decimals. ``prices`` are as in `select_cost`.
    """
    responses, dedup = session.responses, session.dedup
    cost = select_cost(session, prices)
    return {
        "id": session.id,
        "status": session.connection.status.value,
        "transcript": [_line(session, line) for line in select_transcripts(session)],
        "items": [_entry(item) for item in _all_items(session)],
        "responses": [
            {"id": response_id, "status": responses.by_id[response_id].status}
            for response_id in responses.order
        ],
        "usage": plain(session.usage.tokens),
        "cost": None if cost is None else _money(cost),
        "turns": [plain(turn) for turn in select_turns(session)],
        "problems": [plain(problem) for problem in session.problems],
        "reconnections": [plain(made) for made in session.connection.reconnections],
        "counters": {
            "events": dedup.events,
            "unknown": dedup.unknown,
            "malformed": dedup.malformed,
            "duplicate": dedup.duplicate,
            "late": dedup.late,
        },
    }


def _money(cost: Cost) -> dict[str, Any]:
    """The cost, rounded far below the price of one token."""
    rounded = {
        name: round(value, _DECIMALS) if isinstance(value, float) else value
        for name, value in plain(cost).items()
    }
    return {**rounded, "missing": list(cost.missing)}


def _line(session: Session, line: Transcript) -> dict[str, Any]:
    return {**plain(line), "metadata": select_metadata(session, line.item_id)}


def _all_items(session: Session) -> Iterator[Item]:
    """All items except deleted ones: those of the conversation first."""
    order = dict.fromkeys(session.conversation.order)
    for response_id in session.responses.order:
        order |= dict.fromkeys(session.responses.by_id[response_id].item_ids)
    order |= dict.fromkeys(sorted(session.items))
    for item_id in order:
        if (item := find_item(session, item_id)) is not None:
            yield item


def _entry(item: Item) -> dict[str, Any]:
    text = transcript_of(item).text
    if (call := item.call) is not None:
        output = item.type == "function_call_output"
        text = (call.output or "") if output else str(call.arguments)
    return {
        "id": item.id,
        "type": item.type,
        "role": item.role,
        "status": item.status,
        "text": text,
    }
