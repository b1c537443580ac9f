"""The transcript of a recorded log, as ``export`` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
from duologue.core.selectors.transcript import transcript_of

from ..shared.control_characters import strip_controls
from ..shared.session_report import model_name

__all__ = ["CallEntry", "Gap", "MessageEntry", "SessionTranscript", "transcripts"]


@attrs.frozen(kw_only=True)
class MessageEntry:
    """A message of the user, the assistant or the system.

    ``interrupted_ms`` is the audio position at which it was interrupted, ``heard``
    the text played by then (None if unknown) and ``not_heard`` the rest. ``note`` is
    the service's note on its reply, ``failure`` why the transcription failed. Times
    are seconds since the Unix epoch; None if the log has no times.
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
class CallEntry:
    """A tool call with its output, or another item of an MCP server."""

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
    """Records are missing here, and possibly text."""

    type: str = "gap"


@attrs.frozen(kw_only=True)
class SessionTranscript:
    """The transcript of one session; all texts are without control characters."""

    id: str
    kind: str
    status: str
    reason: str | None
    model: str | None
    started_at: float | None
    ended_at: float | None
    entries: tuple[MessageEntry | CallEntry | Gap, ...]
    translation: dict[str, str] | None
    problems: tuple[Mapping[str, Any], ...]
    usage: Mapping[str, int]
    cost: Mapping[str, Any] | None


def transcripts(records: Iterable[Record]) -> tuple[SessionTranscript, ...]:
    """The transcripts of all sessions, in the order of their first records."""
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
) -> SessionTranscript:
    connection, values = session.connection, summary(session)
    translation = select_translation(session)
    return SessionTranscript(
        id=strip_controls(session.id),
        kind=connection.kind.value,
        status=connection.status.value,
        reason=_stripped(connection.reason),
        model=_stripped(model_name(session)),
        started_at=started_at,
        ended_at=ended_at,
        entries=tuple(_entries(session)),
        translation=None
        if translation is None
        else {
            "input": strip_controls(translation.input),
            "output": strip_controls(translation.output),
        },
        problems=tuple(map(_problem, values["problems"])),
        usage=values["usage"],
        cost=values["cost"],
    )


def _stripped(text: str | None) -> str | None:
    return None if text is None else strip_controls(text)


def _problem(problem: Mapping[str, Any]) -> Mapping[str, Any]:
    message, code = strip_controls(problem["message"]), _stripped(problem["code"])
    return {**problem, "message": message, "code": code}


def _entries(session: Session) -> Iterator[MessageEntry | CallEntry | Gap]:
    gaps = select_words_missing(session)
    if "" in gaps:
        yield Gap()
    for item in select_items(session):
        # By its fields and not by its type: a new type of item may have text too.
        if item.call is None or item.role is not None:
            yield _message(session, item)
        elif not _is_merged_with_its_call(session, item):
            yield _call(session, item)
        if item.id in gaps:
            yield Gap()


def _message(session: Session, item: Item) -> MessageEntry:
    line = transcript_of(item)
    failures = [part.failure for part in item.parts if part.failure]
    cut = line.interrupted is not None and line.heard is not None
    # `text` is stripped, `heard` is not.
    heard = (line.heard or "").strip()
    rest = line.text[len(heard) :] if line.text.startswith(heard) else ""
    return MessageEntry(
        id=item.id,
        role=strip_controls(item.role or item.type),
        text=strip_controls(line.text),
        final=line.final,
        interrupted_ms=line.interrupted,
        heard=strip_controls(heard) if cut else None,
        not_heard=strip_controls(rest).strip() if cut else None,
        note=_stripped(select_metadata(session, item.id).get("duologue")),
        failure=_stripped(failures[0]) if failures else None,
        started_at=line.started_at,
        finished_at=line.finished_at,
    )


def _is_merged_with_its_call(session: Session, item: Item) -> bool:
    """Whether this is an output that the entry of its call includes."""
    if item.type != "function_call_output" or item.call is None:
        return False
    link = session.conversation.calls.get(item.call.key or "")
    return link is not None and _existing(session, link.call) is not None


def _existing(session: Session, item_id: str | None) -> Item | None:
    item = session.items.get(item_id or "")
    return None if item is None or item.status == "deleted" else item


def _call(session: Session, item: Item) -> CallEntry:
    call = item.call
    link = session.conversation.calls.get((call.key if call else None) or "")
    given = _existing(session, link.output) if link else None
    if item.type != "function_call" or given is None or given.call is None:
        given = item
    result = given.call
    error = (call.error if call else None) or (result.error if result else None)
    return CallEntry(
        type=strip_controls(item.type),
        id=item.id,
        name=strip_controls(call.name) if call else "",
        call_id=call.call_id if call else None,
        arguments=strip_controls(str(call.arguments)) if call else "",
        output=_stripped(result.output) if result else None,
        error=_stripped(error),
        started_at=item.placement.started_at,
        finished_at=given.placement.finished_at,
    )
