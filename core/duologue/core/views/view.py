"""A session as JSON: what a feed sends and a page shows, and what `replay` prints.

`view` is the live shape. Text stands in it once, as a list of chunks that only grows
until the final text replaces it, so that a change of it is small: `patch` tells the
way from one view to the next, and `apply` goes it. `summary` is the shape for the end:
texts joined, and the counters and the cost beside them.

Each node of the state has its function here, which says what of it is shown; `patch`
works with the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import msgspec

from ..arguments import of_session
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

#: What opens an MCP server: a view goes to pages.
_SECRETS = ("authorization", "headers")
#: Of a US dollar, as JSON shows them.
_DECIMALS = 9


@of_session
def view(session: Session) -> dict[str, Any]:
    """The session as plain JSON values, bookkeeping left out.

    Deleted items are not in it. ``order`` names the items of the conversation that
    are shown: those that the user cleared stay in ``items`` alone, beside the output
    of responses out of band.
    """
    conversation, responses = session.conversation, session.responses
    return {
        "id": session.id,
        **connection_view(session.connection),
        "conversation_id": conversation.id,
        "order": shown(session),
        "items": {
            item_id: item_view(item)
            for item_id in sorted(session.items)
            if (item := alive(session, item_id)) is not None
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
    """A value whose fields are JSON values, as an object."""
    if isinstance(node, msgspec.Struct):
        return msgspec.structs.asdict(node)
    names: dict[str, Any] = attrs.fields_dict(node.__class__)
    return {name: getattr(node, name) for name in names}


def connection_view(connection: Connection) -> dict[str, Any]:
    """Where the session stands, and its configuration asked for and confirmed."""
    requested, confirmed = connection.requested, connection.confirmed
    return {
        "kind": connection.kind.value,
        "status": connection.status.value,
        "reason": connection.reason,
        "epoch": connection.epoch,
        "server_id": connection.server_id,
        "expires_at": connection.expires_at,
        "requested": None if requested is None else _config(requested),
        "confirmed": None
        if confirmed is None
        else _config(msgspec.json.encode(confirmed)),
    }


def _config(json: str | bytes) -> Any:
    """A configuration without the secrets of its tools."""
    config = msgspec.json.decode(json)
    tools = config.get("tools") if is_object(config) else None
    if is_array(tools):
        for tool in filter(is_object, tools):
            for name in _SECRETS:
                tool.pop(name, None)
    return config


def alive(session: Session, item_id: str) -> Item | None:
    """An item that is there and no tombstone."""
    item = session.items.get(item_id)
    return None if item is None or item.status == "deleted" else item


def shown(session: Session) -> list[str]:
    """The ids of the items since the transcripts were last cleared, in order."""
    return [item.id for item in shown_items(session)][::-1]


def item_view(item: Item) -> dict[str, Any]:
    """An item with its parts, and with its call if it is one."""
    return {
        **item_head(item),
        "parts": [part_view(part) for part in item.parts],
        "call": None if item.call is None else call_view(item.call),
    }


def item_head(item: Item) -> dict[str, Any]:
    """What an item is, without its text."""
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
    """A part of an item, with its text as it came."""
    return {**part_head(part), "chunks": part.text.chunks()}


def part_head(part: Part) -> dict[str, Any]:
    """What a part is, without its text."""
    head: dict[str, Any] = {"type": part.type, "final": part.final}
    if part.failure is not None:
        head["failure"] = part.failure
    if part.segments:
        head["segments"] = [plain(segment) for segment in part.segments]
    return head


def call_view(call: Call) -> dict[str, Any]:
    """A call, its output, an approval or a list of tools; arguments as they came."""
    return {**call_head(call), "arguments": call.arguments.chunks()}


def call_head(call: Call) -> dict[str, Any]:
    """What a call is, without its arguments; of tools that are listed the names."""
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
    """The two texts of a translation as they came, and its configuration."""
    if translation is None:
        return None
    return {
        **translation_head(translation),
        "input": {"chunks": translation.input.chunks()},
        "output": {"chunks": translation.output.chunks()},
    }


def translation_head(translation: Translation) -> dict[str, Any]:
    """What a translation is, without its texts."""
    confirmed = translation.confirmed
    return {
        "confirmed": None if confirmed is None else _config(confirmed),
        "closed": translation.closed,
    }


def response_view(response: Response) -> dict[str, Any]:
    """A response with the latencies of its turn, in ms as in `TurnTimes`."""
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
    """Who is heard just now, and how the microphone and the speaker are set."""
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
    """The session as plain JSON values, as it is read at its end.

    ``items`` are those of the conversation in their order, the cleared ones too, then
    those beside it. ``text`` of a call is its arguments, of a function's output
    its output; of others it is trimmed as in ``transcript``. Dollars are rounded to
    nine decimals. ``prices`` are those of `select_cost`.
    """
    responses, dedup = session.responses, session.dedup
    cost = select_cost(session, prices)
    return {
        "id": session.id,
        "status": session.connection.status.value,
        "transcript": [_line(session, line) for line in select_transcripts(session)],
        "items": [_entry(item) for item in _every(session)],
        "responses": [
            {"id": response_id, "status": responses.by_id[response_id].status}
            for response_id in responses.order
        ],
        "usage": plain(session.usage.tokens),
        "cost": None if cost is None else _money(cost),
        "turns": [plain(turn) for turn in select_turns(session)],
        "problems": [plain(problem) for problem in session.problems],
        "counters": {
            "events": dedup.events,
            "unknown": dedup.unknown,
            "malformed": dedup.malformed,
            "duplicate": dedup.duplicate,
            "late": dedup.late,
        },
    }


def _money(cost: Cost) -> dict[str, Any]:
    """The cost without the noise of binary fractions; a token costs more than that."""
    return {
        name: round(value, _DECIMALS) if isinstance(value, float) else value
        for name, value in plain(cost).items()
    }


def _line(session: Session, line: Transcript) -> dict[str, Any]:
    return {**plain(line), "metadata": select_metadata(session, line.item_id)}


def _every(session: Session) -> Iterator[Item]:
    """All items that are not deleted: the conversation's, then those beside it."""
    order = dict.fromkeys(session.conversation.order)
    for response_id in session.responses.order:
        order |= dict.fromkeys(session.responses.by_id[response_id].item_ids)
    order |= dict.fromkeys(sorted(session.items))
    for item_id in order:
        if (item := alive(session, item_id)) is not None:
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
