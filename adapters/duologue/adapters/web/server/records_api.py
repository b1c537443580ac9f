"""Handlers of the HTTP routes for records: lists, past views, export and import."""

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
from ..sessions.registry import Caller, Registry
from .routes import MAX_TITLE, Api, json_reply, read_body

__all__ = ["Records"]

#: Records in one response: by default, and at most.
_DEFAULT_LIMIT, _MAX_LIMIT = 1_000, 20_000
#: Bytes of a log that are folded before the event loop runs other tasks, and the cost
#: of a line in addition to its own bytes.
_BATCH, _LINE_COST = 16 << 10, 64
_SPACE = re.compile(rb"\s*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: The most sessions in one log.
_MAX_SESSIONS = 16
#: The largest integer that JavaScript represents exactly.
_MAX_INTEGER = 2**53 - 1


class Records:
    """The handlers."""

    def __init__(self, registry: Registry, api: Api) -> None:
        self._registry = registry
        self._api = api

    async def index(self, request: Request) -> Response:
        """Summaries of the records that match the query."""
        history = (await self._api.session(request)).history
        limit = min(_number(request, "limit", _DEFAULT_LIMIT), _MAX_LIMIT)
        found = list(islice(_matching(request, history), limit + 1))
        return json_reply(
            {
                "first": history.first,
                "last": history.last,
                "dropped": history.dropped,
                "dropped_bytes": history.dropped_bytes,
                "records": [entry.summary() for entry in found[:limit]],
                "more": len(found) > limit,
            }
        )

    async def one(self, request: Request) -> Response:
        """One record, as a line of the log."""
        history = (await self._api.session(request)).history
        entry = history.find(request.path_params["seq"])
        if entry is None:
            raise _not_kept(history)
        headers = {"Cache-Control": "no-store"}
        return Response(entry.line, media_type="application/json", headers=headers)

    async def view(self, request: Request) -> Response:
        """The view after a record, and the patch that this record made."""
        history = (await self._api.session(request)).history
        moment = history.at(_number(request, "seq", history.last))
        if moment is None:
            raise _not_kept(history)
        return json_reply(moment)

    async def log(self, request: Request) -> Response:
        """The log of a session, as a download."""
        session = await self._api.session(request)
        name = f'attachment; filename="duologue-{session.id}.jsonl"'
        headers = {"Cache-Control": "no-store", "Content-Disposition": name}
        lines = session.history.lines()
        return Response(lines, media_type="application/jsonl", headers=headers)

    async def import_log(self, request: Request) -> Response:
        """Import a log: one session for each in it. The first is the response.

        Raises `Refused`.
        """
        caller = await self._api.caller(request)
        self._registry.count_start(caller)
        limit = self._registry.limits.bytes
        body = await read_body(request, "application/jsonl", limit)
        title = request.query_params.get("title", "")[:MAX_TITLE] or None
        histories, damage = await _folded(self._registry, caller, body)
        if not histories:
            raise Refused(422, "not_a_log", damage or "the log has no record")
        sessions = self._registry.import_log(
            caller, histories, title=title, end_reason=damage
        )
        return json_reply(sessions[0].summary(), 201)


def _not_kept(history: History) -> Refused:
    message = f"only records {history.first} to {history.last} are kept"
    return Refused(404, "not_kept", message, param="seq")


def _number(request: Request, name: str, default: int) -> int:
    """A number in the query. Raises `Refused`."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise Refused(422, "not_a_number", f"{name} must be a number", param=name)
    return int(given)


def _matching(request: Request, history: History) -> Iterator[Entry]:
    """The records that match the query, in order."""
    query = request.query_params
    first, last = _number(request, "from", 0), _number(request, "to", _MAX_INTEGER)
    direction = query.get("dir")
    types = [name for name in query.get("type", "").split(",") if name]
    words = query.get("q", "").encode().lower()
    for entry in history.entries():
        if not first <= entry.seq <= last or (direction and entry.dir != direction):
            continue
        if types and not any(_has_type(entry, name) for name in types):
            continue
        if not words or words in entry.line.lower():
            yield entry


def _has_type(entry: Entry, name: str) -> bool:
    """Whether a record has this type, or begins with this prefix: ``response.*``."""
    if name.endswith("*"):
        return entry.type.startswith(name[:-1])
    return entry.type == name


async def _folded(
    registry: Registry, caller: Caller, body: bytes
) -> tuple[list[History], str | None]:
    """The sessions of a log, and the error that ends it too early, if any."""
    histories: dict[str, History] = {}
    # `read_log` takes one line and yields its record before it takes the next.
    given: deque[bytes] = deque()
    records = read_log(iter(given.popleft, None))
    async for at, line in _lines(body):
        given.append(line)
        try:
            record = next(records)
        except LogError as error:
            # The reader does not see empty lines, so its line number is too low.
            number = body.count(b"\n", 0, at) + 1
            damage = str(error).replace(f"line {error.line}:", f"line {number}:", 1)
            return list(histories.values()), damage
        if record.session not in histories:
            _check_more(registry, caller, len(histories) + 1)
            histories[record.session] = registry.history(record.session)
        _append(histories[record.session], record)
    return list(histories.values()), None


async def _lines(body: bytes) -> AsyncIterator[tuple[int, bytes]]:
    """The offset and the bytes of each line that is not empty.

    Other tasks run after each batch of bytes, so that a large log does not block them,
    even if all its lines are empty.
    """
    at = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0
    batch_end = at + _BATCH
    while at < len(body):
        if at >= batch_end:
            await asyncio.sleep(0)
            batch_end = at + _BATCH
        space = _SPACE.match(body, at, batch_end)
        at = space.end() if space is not None else at
        if at >= batch_end or at == len(body):
            continue
        found = body.find(b"\n", at)
        end = found if found >= 0 else len(body)
        yield at, body[at:end]
        at, batch_end = end, batch_end - _LINE_COST


def _check_more(registry: Registry, caller: Caller, number: int) -> None:
    """Check that a log may have so many sessions. Raises `Refused`."""
    if number > _MAX_SESSIONS:
        message = f"the log has more than {_MAX_SESSIONS} sessions"
        raise Refused(422, "too_many_sessions", message)
    registry.check_sessions(caller, number)


def _append(history: History, record: Record) -> None:
    if not history.last < record.seq <= _MAX_INTEGER:
        # The log was concatenated from several, or written by another program.
        record = msgspec.structs.replace(record, seq=history.last + 1)
    history.append(record)
