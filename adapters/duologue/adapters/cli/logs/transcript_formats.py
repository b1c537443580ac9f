"""Transcripts as plain text, Markdown and JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import attrs

from ..shared.control_characters import json_line
from .transcript_export import CallEntry, Gap, MessageEntry, SessionTranscript

__all__ = ["as_json", "as_markdown", "as_text"]

_MISSING = "(records are missing here, and possibly text)"
_WORDLESS = "(no words)"
#: The indentation of all lines of a text but the first.
_INDENT = " " * 8


def as_json(sessions: Iterable[SessionTranscript]) -> str:
    """One JSON object: ``{"sessions": […]}``."""
    return json_line({"sessions": [attrs.asdict(each) for each in sessions]})


def as_text(sessions: Iterable[SessionTranscript]) -> str:
    """A line for each entry, with its time since the start of the session.

    Further lines of a text are indented, so that they cannot look like an entry.
    """
    return "\n".join("\n".join(_session_text(each)) + "\n" for each in sessions)


def _session_text(session: SessionTranscript) -> Iterator[str]:
    yield f"session {_flat(session.id)}"
    yield " · ".join(_facts(session))
    yield ""
    for entry in session.entries:
        if isinstance(entry, Gap):
            yield _MISSING
            continue
        words = (
            _message_text(entry)
            if isinstance(entry, MessageEntry)
            else _call_text(entry)
        )
        time = _time(session, entry)
        yield _indented(f"[{time}] {words}" if time else words)
    if session.translation is not None:
        yield _indented(f"said: {session.translation['input']}")
        yield _indented(f"translated: {session.translation['output']}")
    for problem in session.problems:
        yield _indented(f"problem: {problem['message']}")


def _message_text(entry: MessageEntry) -> str:
    speaker = entry.role if entry.note is None else f"{entry.role} ({entry.note})"
    words = entry.text or _WORDLESS
    if entry.failure is not None:
        words += f" [not written down: {entry.failure}]"
    if entry.interrupted_ms is not None:
        if entry.heard is not None:
            words = entry.heard
        words += f" [interrupted after {entry.interrupted_ms} ms"
        words += f"; not heard: {entry.not_heard}]" if entry.not_heard else "]"
    elif not entry.final:
        words += " [unfinished]"
    return f"{_flat(speaker)}: {words}"


def _call_text(entry: CallEntry) -> str:
    words = f"{_kind(entry)}: {_flat(entry.name)}({entry.arguments})"
    if entry.output is not None:
        words += f" gave {entry.output}"
    if entry.error is not None:
        words += f" failed: {entry.error}"
    return words


def _kind(entry: CallEntry) -> str:
    """``call`` for functions and MCP tools, else the type."""
    return "call" if entry.type in ("function_call", "mcp_call") else _flat(entry.type)


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{_INDENT}")


def _flat(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())


def _facts(session: SessionTranscript) -> Iterator[str]:
    """The parts of a heading: start, duration, model and status."""
    start, end = session.started_at, session.ended_at
    if start is not None and end is not None:
        yield _date(start)
        yield f"{end - start:.1f} s"
    if session.model is not None:
        yield _flat(session.model)
    reason = f" ({_flat(session.reason)})" if session.reason else ""
    yield session.status + reason


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"at {seconds:g} s"


def _time(session: SessionTranscript, entry: MessageEntry | CallEntry) -> str:
    """Minutes and seconds since the start, such as ``01:07``; empty if unknown."""
    if entry.started_at is None or session.started_at is None:
        return ""
    seconds = max(0, int(entry.started_at - session.started_at))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}:{minutes:02}" if hours else f"{minutes:02}"
    return f"{shown}:{seconds:02}"


def as_markdown(sessions: Iterable[SessionTranscript]) -> str:
    """A section for each session, a paragraph for each entry.

    Text that was not heard is struck through. Markdown in the texts is escaped.
    """
    return "\n".join("\n".join(_session_markdown(each)) for each in sessions)


def _session_markdown(session: SessionTranscript) -> Iterator[str]:
    yield f"# Session {_escaped(_flat(session.id))}\n"
    yield _escaped(" · ".join(_facts(session))) + "\n"
    for entry in session.entries:
        if isinstance(entry, Gap):
            yield f"*{_MISSING}*\n"
        elif isinstance(entry, MessageEntry):
            head = _head(session, entry, entry.role.capitalize(), entry.note)
            yield f"{head}{_words(entry)}\n"
        else:
            yield from _call_markdown(session, entry)
    if session.translation is not None:
        yield f"**MessageEntry:** {_escaped(session.translation['input'])}\n"
        yield f"**Translated:** {_escaped(session.translation['output'])}\n"
    if session.problems:
        yield "## Problems\n"
        for problem in session.problems:
            yield f"- {_escaped(_flat(problem['message']))}"
        yield ""


def _head(
    session: SessionTranscript,
    entry: MessageEntry | CallEntry,
    name: str,
    note: str | None = None,
) -> str:
    shown = f" ({_escaped(_flat(note))})" if note else ""
    time = _time(session, entry)
    return f"{f'{time} ' if time else ''}**{_escaped(name)}**{shown}: "


def _words(entry: MessageEntry) -> str:
    words = _escaped(entry.text) or f"*{_WORDLESS}*"
    if entry.failure is not None:
        words += f" *[not written down: {_escaped(_flat(entry.failure))}]*"
    if entry.interrupted_ms is not None:
        if entry.heard is not None:
            words = _escaped(entry.heard).rstrip()
            struck = _escaped(_flat(entry.not_heard or ""))
            words += f" ~~{struck}~~" if struck else ""
        words += f" *[interrupted after {entry.interrupted_ms} ms]*"
    elif not entry.final:
        words += " *[unfinished]*"
    return words


def _call_markdown(session: SessionTranscript, entry: CallEntry) -> Iterator[str]:
    head = _head(session, entry, _kind(entry).capitalize())
    yield f"{head}{_escaped(_flat(entry.name))}\n"
    if entry.arguments:
        yield _block(entry.arguments)
    if entry.output is not None:
        yield f"gave\n\n{_block(entry.output)}"
    if entry.error is not None:
        yield f"failed: {_escaped(_flat(entry.error))}\n"


def _block(text: str) -> str:
    """The text unchanged, in a fence longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}\n"


_MARKUP = re.compile(r"([\\`*_\[\]<>~|&$])")
#: The start of a heading, list, quotation or rule at the beginning of a line.
_OPENING = re.compile(r"^([#+=-]|\d+(?=[.)]))")


def _escaped(text: str) -> str:
    """The text as one Markdown paragraph, with its lines and without markup."""
    lines = (_MARKUP.sub(r"\\\1", line.strip()) for line in text.split("\n"))
    return "  \n".join(_OPENING.sub(_opened, line) for line in lines if line)


def _opened(found: re.Match[str]) -> str:
    """The start of a line, escaped: ``\\#``, ``1\\.``."""
    word = found[1]
    return f"{word}\\" if word.isdigit() else f"\\{word}"
