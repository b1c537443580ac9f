"""``duologue export``: the transcript of a recorded log, to be kept and read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from duologue.core import (
    Item,
    Record,
    Session,
    State,
    reduce,
    select_items,
    select_metadata,
    select_translation,
    select_words_missing,
    summary,
)
from duologue.core.errors import DuologueError
from duologue.core.selectors.transcript import transcript_of

from ..shared.escape import as_line, plain
from .log_input import LogInput

__all__ = ["Called", "Gap", "Said", "Transcript", "as_json", "run", "transcripts"]


@attrs.frozen(kw_only=True)
class Said:
    """What somebody said or wrote.

    ``interrupted_ms`` is when it was cut off, ``heard`` what was heard of it by then
    (None where that is not known) and ``not_heard`` the rest. ``note`` is what a
    service says of its reply, ``failure`` why speech was not written down. Times here
    are seconds since the Unix epoch, None where the log has none.
    """

    type: str = "message"
    id: str
    role: str
    text: str
    final: bool
    interrupted_ms: int | None = None
    heard: str | None = None
    not_heard: str | None = None
    note: str | None = None
    failure: str | None = None
    started_at: float | None = None
    finished_at: float | None = None


@attrs.frozen(kw_only=True)
class Called:
    """A call of a tool, with what it gave; or what an MCP server asks or offers."""

    type: str
    id: str
    name: str
    call_id: str | None
    arguments: str
    output: str | None
    error: str | None
    started_at: float | None = None
    finished_at: float | None = None


@attrs.frozen
class Gap:
    """Records are missing here, and words with them perhaps."""

    type: str = "gap"


@attrs.frozen(kw_only=True)
class Transcript:
    """One session as it is read; control characters are stripped from every text."""

    id: str
    kind: str
    status: str
    reason: str | None
    model: str | None
    started_at: float | None
    ended_at: float | None
    entries: tuple[Said | Called | Gap, ...]
    translation: dict[str, str] | None
    problems: tuple[Mapping[str, Any], ...]
    usage: Mapping[str, int]
    cost: Mapping[str, Any] | None


def run(log: Path, *, format: str, output: Path | None) -> None:
    """Write the transcript of the log in this format, to standard output or a file.

    Raises `LogError` afterwards where the log ends early, `DuologueError` for a file
    that cannot be written.
    """
    source = LogInput(log)
    if found := transcripts(source.records()):
        _write(_writers()[format](found), output)
    source.check()


def _writers() -> dict[str, Callable[[tuple[Transcript, ...]], str]]:
    from .transcript_formats import as_markdown, as_text

    return {"txt": as_text, "md": as_markdown, "json": as_json}


def as_json(sessions: Iterable[Transcript]) -> str:
    """One JSON object: ``{"sessions": […]}``."""
    return as_line({"sessions": [attrs.asdict(each) for each in sessions]})


def _write(text: str, output: Path | None) -> None:
    """UTF-8 whatever the locale; a new file is its owner's only, as a log is."""
    content = text.encode(errors="replace")
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(output, flags, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise DuologueError(f"{output}: {error.strerror or error}") from None


# -- from the state


def transcripts(records: Iterable[Record]) -> tuple[Transcript, ...]:
    """Those of the sessions, in the order in which they began."""
    state = State()
    times: dict[str, tuple[float | None, float | None]] = {}
    for record in records:
        state = reduce(state, record)
        first, last = times.get(record.session, (None, None))
        times[record.session] = (
            record.at if first is None else first,
            last if record.at is None else record.at,
        )
    return tuple(
        _transcript(state.sessions[session_id], *span)
        for session_id, span in times.items()
        if session_id in state.sessions
    )


def _transcript(
    session: Session, started_at: float | None, ended_at: float | None
) -> Transcript:
    connection, told = session.connection, summary(session)
    model = getattr(connection.confirmed, "model", None)
    translation = select_translation(session)
    return Transcript(
        id=plain(session.id),
        kind=connection.kind.value,
        status=connection.status.value,
        reason=_plain(connection.reason),
        model=plain(model) if isinstance(model, str) else None,
        started_at=started_at,
        ended_at=ended_at,
        entries=tuple(_entries(session)),
        translation=None
        if translation is None
        else {"input": plain(translation.input), "output": plain(translation.output)},
        problems=tuple(map(_problem, told["problems"])),
        usage=told["usage"],
        cost=told["cost"],
    )


def _plain(text: str | None) -> str | None:
    return None if text is None else plain(text)


def _problem(problem: Mapping[str, Any]) -> Mapping[str, Any]:
    message, code = plain(problem["message"]), _plain(problem["code"])
    return {**problem, "message": message, "code": code}


def _entries(session: Session) -> Iterator[Said | Called | Gap]:
    gaps = select_words_missing(session)
    if "" in gaps:
        yield Gap()
    for item in select_items(session):
        # By what it holds: a type of item that is new may have words too.
        if item.call is None or item.role is not None:
            yield _said(session, item)
        elif not _is_shown_with_its_call(session, item):
            yield _called(session, item)
        if item.id in gaps:
            yield Gap()


def _said(session: Session, item: Item) -> Said:
    line = transcript_of(item)
    failures = [part.failure for part in item.parts if part.failure]
    cut = line.interrupted is not None and line.heard is not None
    # A line is trimmed, what was heard of it is not.
    heard = (line.heard or "").strip()
    rest = line.text[len(heard) :] if line.text.startswith(heard) else ""
    return Said(
        id=item.id,
        role=plain(item.role or item.type),
        text=plain(line.text),
        final=line.final,
        interrupted_ms=line.interrupted,
        heard=plain(heard) if cut else None,
        not_heard=plain(rest).strip() if cut else None,
        note=_plain(select_metadata(session, item.id).get("duologue")),
        failure=_plain(failures[0]) if failures else None,
        started_at=line.started_at,
        finished_at=line.finished_at,
    )


def _is_shown_with_its_call(session: Session, item: Item) -> bool:
    """Whether this is the output of a call that is there too."""
    if item.type != "function_call_output" or item.call is None:
        return False
    link = session.conversation.calls.get(item.call.call_id or "")
    return link is not None and _alive(session, link.call) is not None


def _alive(session: Session, item_id: str | None) -> Item | None:
    item = session.items.get(item_id or "")
    return None if item is None or item.status == "deleted" else item


def _called(session: Session, item: Item) -> Called:
    call = item.call
    link = session.conversation.calls.get((call.call_id if call else None) or "")
    given = _alive(session, link.output) if link else None
    if item.type != "function_call" or given is None or given.call is None:
        given = item
    result = given.call
    error = (call.error if call else None) or (result.error if result else None)
    return Called(
        type=plain(item.type),
        id=item.id,
        name=plain(call.name) if call else "",
        call_id=call.call_id if call else None,
        arguments=plain(str(call.arguments)) if call else "",
        output=_plain(result.output) if result else None,
        error=_plain(error),
        started_at=item.placement.started_at,
        finished_at=given.placement.finished_at,
    )
