"""``duologue say``: one turn, for scripts."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from duologue.core import select_metadata, summary
from duologue.core.errors import DuologueError

from ..shared.escape import as_line, plain
from ..shared.one_turn import Ask, Turn, hold_turn
from ..shared.service import reached

__all__ = ["as_json", "run"]


def run(ask: Ask, *, local: bool, base_url: str | None, json: bool) -> None:
    """Say it and print the reply. Raises a `DuologueError` where none came whole."""
    turn = asyncio.run(_hold(ask, local, base_url))
    if json:
        sys.stdout.buffer.write(as_line(as_json(turn)).encode())
    else:
        if turn.reply:
            print(plain(turn.reply))
        if note := _note(turn):
            print(f"duologue say: the reply is {plain(note)}", file=sys.stderr)
    sys.stdout.flush()
    if turn.failure is not None:
        raise DuologueError(plain(turn.failure))


async def _hold(ask: Ask, local: bool, base_url: str | None) -> Turn:
    async with reached(local=local, base_url=base_url) as service:
        return await hold_turn(ask, service)


def _note(turn: Turn) -> str | None:
    """What the service says of its reply: that it is scripted."""
    for item_id in turn.session.conversation.order:
        if note := select_metadata(turn.session, item_id).get("duologue"):
            return note
    return None


def as_json(turn: Turn) -> dict[str, Any]:
    """The turn as JSON values; ids and texts as they came."""
    told = summary(turn.session)
    said = {line["role"]: line for line in told["transcript"]}
    response = told["responses"][-1] if told["responses"] else {}
    times = told["turns"][-1] if told["turns"] else {}
    status = "completed" if turn.failure is None else response.get("status")
    return {
        "status": "failed" if status in (None, "in_progress") else status,
        "failure": turn.failure,
        "text": turn.reply,
        "item_id": said.get("assistant", {}).get("item_id"),
        "response_id": response.get("id"),
        "user_item_id": said.get("user", {}).get("item_id"),
        "model": _model(turn),
        "note": _note(turn),
        "connect_ms": turn.connect_ms,
        "first_text_ms": times.get("first_text_ms"),
        "first_audio_ms": times.get("first_audio_ms"),
        "reply_ms": turn.reply_ms,
        "usage": told["usage"],
        "cost": told["cost"],
        "problems": told["problems"],
    }


def _model(turn: Turn) -> str | None:
    model = getattr(turn.session.connection.confirmed, "model", None)
    return model if isinstance(model, str) else None
