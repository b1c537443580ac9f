"""The way back in time over HTTP: records, the view at one of them, logs in and out."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator
from itertools import islice

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from duologue.core import LogError, Record, read_log

from ..pages.refusals import Refused
from ..sessions.history import Entry, History
from ..sessions.registry import Caller, Hub
from .routes import Api, json_reply, read_body

__all__ = ["Records"]

#: Records of one answer: by default, and at most.
_SOME, _MOST = 1_000, 20_000
#: Bytes of a log that are folded before others have their turn, and what a line counts
#: beside its own.
_PIECE, _LINE = 16 << 10, 64
_SPACE = re.compile(rb"\s*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
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
        self._hub.begin_import(caller)
        body = await read_body(request, "application/jsonl", self._hub.limits.bytes)
        title = request.query_params.get("title", "")[:_TITLE] or None
        histories, ends = await _folded(self._hub, caller, body)
        if not histories:
            raise Refused(422, "not_a_log", ends or "there is no record in the log")
        rooms = self._hub.read(caller, histories, title=title, ends=ends)
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


async def _folded(
    hub: Hub, caller: Caller, body: bytes
) -> tuple[list[History], str | None]:
    """The sessions of a log, and why it ends too early if it does."""
    histories: dict[str, History] = {}
    # The reader asks for a line, and gives its record before it asks for the next.
    given: deque[bytes] = deque()
    records = read_log(iter(given.popleft, None))
    async for at, line in _lines(body):
        given.append(line)
        try:
            record = next(records)
        except LogError as error:
            return list(histories.values()), _placed(error, body, at)
        if record.session not in histories:
            _check_more(hub, caller, len(histories) + 1)
            histories[record.session] = hub.history(record.session)
        _keep(histories[record.session], record)
    return list(histories.values()), None


async def _lines(body: bytes) -> AsyncIterator[tuple[int, bytes]]:
    """Where each line that is not empty begins, and the line.

    What one reads must not keep the others waiting: they have their turn after so many
    bytes, though they be empty lines.
    """
    at = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0
    turn = at + _PIECE
    while at < len(body):
        if at >= turn:
            await asyncio.sleep(0)
            turn = at + _PIECE
        space = _SPACE.match(body, at, turn)
        at = space.end() if space is not None else at
        if at >= turn or at == len(body):
            continue
        found = body.find(b"\n", at)
        end = found if found >= 0 else len(body)
        yield at, body[at:end]
        # Short ones take as long to fold as others.
        at, turn = end, turn - _LINE


def _placed(error: LogError, body: bytes, at: int) -> str:
    """What is wrong, by the number of the line in the log with its empty lines."""
    number = body.count(b"\n", 0, at) + 1
    return str(error).replace(f"line {error.line}:", f"line {number}:", 1)


def _check_more(hub: Hub, caller: Caller, number: int) -> None:
    """Whether a log may have so many sessions. Raises `Refused`."""
    if number > _SESSIONS:
        said = f"the log has more than {_SESSIONS} sessions"
        raise Refused(422, "too_many_sessions", said)
    hub.check_sessions(caller, number)


def _keep(history: History, record: Record) -> None:
    if not history.last < record.seq <= _LARGEST:
        # Logs that were put together, or that someone else wrote.
        record = msgspec.structs.replace(record, seq=history.last + 1)
    history.append(record)
