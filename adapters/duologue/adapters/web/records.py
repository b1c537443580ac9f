"""The way back in time over HTTP: records, the view at one of them, logs in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from duologue.core import LogError, Record, read_log

from .api import Api, json_reply, read_body
from .errors import Refused
from .history import Entry, History
from .hub import Hub

__all__ = ["Records"]

#: Records of one answer: by default, and at most.
_SOME, _MOST = 1_000, 20_000
#: Records that are folded before others have their turn.
_AT_ONCE = 200
#: Sessions of one log.
_SESSIONS = 16
#: Characters of a title.
_TITLE = 200
#: Beyond it a number is no integer for a page.
_LARGEST = 2**53 - 1


class Records:
    """The handlers."""

    def __init__(self, hub: Hub, api: Api) -> None:
        self._hub = hub
        self._api = api

    async def index(self, request: Request) -> Response:
        """The records that are asked for, each in a few words."""
        history = (await self._api.room(request)).history
        limit = min(_number(request, "limit", _SOME), _MOST)
        found = list(islice(_wanted(request, history), limit + 1))
        return json_reply(
            {
                "first": history.first,
                "last": history.last,
                "dropped": history.dropped,
                "dropped_bytes": history.dropped_bytes,
                "records": [entry.listed() for entry in found[:limit]],
                "more": len(found) > limit,
            }
        )

    async def one(self, request: Request) -> Response:
        """A record as the line of its log."""
        history = (await self._api.room(request)).history
        entry = history.find(request.path_params["seq"])
        if entry is None:
            raise _not_kept(history)
        headers = {"Cache-Control": "no-store"}
        return Response(entry.line, media_type="application/json", headers=headers)

    async def view(self, request: Request) -> Response:
        """The session as it was after a record, and what this record changed."""
        history = (await self._api.room(request)).history
        moment = history.at(_number(request, "seq", history.last))
        if moment is None:
            raise _not_kept(history)
        return json_reply(moment.shown())

    async def log(self, request: Request) -> Response:
        """The log of a session, to be kept."""
        room = await self._api.room(request)
        name = f'attachment; filename="duologue-{room.id}.jsonl"'
        headers = {"Cache-Control": "no-store", "Content-Disposition": name}
        lines = room.history.lines()
        return Response(lines, media_type="application/jsonl", headers=headers)

    async def take(self, request: Request) -> Response:
        """A session of each that a log has; the first is the answer.

        Raises `Refused`.
        """
        caller = await self._api.caller(request)
        body = await read_body(request, "application/jsonl", self._hub.limits.bytes)
        title = request.query_params.get("title", "")[:_TITLE] or None
        histories, ends = await _folded(self._hub, body)
        if not histories:
            raise Refused(422, "not_a_log", ends or "there is no record in the log")
        rooms = [
            self._hub.read(caller, history, title=title, ends=ends)
            for history in histories
        ]
        return json_reply(rooms[0].summary(), 201)


def _not_kept(history: History) -> Refused:
    said = f"records {history.first} to {history.last} are kept, no others"
    return Refused(404, "not_kept", said, param="seq")


def _number(request: Request, name: str, default: int) -> int:
    """A number of the query. Raises `Refused`."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise Refused(422, "not_a_number", f"{name} has to be a number", param=name)
    return int(given)


def _wanted(request: Request, history: History) -> Iterator[Entry]:
    """The records of a query, in order."""
    query = request.query_params
    first, last = _number(request, "from", 0), _number(request, "to", _LARGEST)
    way, types = query.get("dir"), _types(query.get("type"))
    words = query.get("q", "").encode().lower()
    for entry in history.entries():
        if not first <= entry.seq <= last or (way and entry.dir != way):
            continue
        if types and not any(_is_of(entry.type, wanted) for wanted in types):
            continue
        if not words or words in entry.line.lower():
            yield entry


def _types(given: str | None) -> list[str]:
    return [name for name in (given or "").split(",") if name]


def _is_of(name: str, wanted: str) -> bool:
    """Whether a type is the one wanted, or begins so: ``response.*``."""
    if wanted.endswith("*"):
        return name.startswith(wanted[:-1])
    return name == wanted


async def _folded(hub: Hub, body: bytes) -> tuple[list[History], str | None]:
    """The sessions of a log, and why it ends too early if it does."""
    histories: dict[str, History] = {}
    try:
        for number, record in enumerate(read_log(body.split(b"\n")), start=1):
            _keep(hub, histories, record)
            if number % _AT_ONCE == 0:
                # What one reads must not keep the others waiting.
                await asyncio.sleep(0)
    except LogError as error:
        return list(histories.values()), str(error)
    return list(histories.values()), None


def _keep(hub: Hub, histories: dict[str, History], record: Record) -> None:
    history = histories.get(record.session)
    if history is None:
        if len(histories) == _SESSIONS:
            said = f"the log has more than {_SESSIONS} sessions"
            raise Refused(422, "too_many_sessions", said)
        history = histories[record.session] = hub.history(record.session)
    if not history.last < record.seq <= _LARGEST:
        # Logs that were put together, or that someone else wrote.
        record = msgspec.structs.replace(record, seq=history.last + 1)
    history.append(record)
