"""Playback of a log in real time (``--speed``) or record by record (``--step``)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from duologue.core import (
    Call,
    Problem,
    Reconnection,
    Record,
    Session,
    SessionStatus,
    State,
    Transcript,
    events,
    reduce,
)
from duologue.core.views.notices import notices

from ..shared.control_characters import single_line
from ..shared.session_report import reconnection_text
from ..shared.transcript_printer import TranscriptPrinter

__all__ = ["paced", "stepped"]

_HINT = "Enter shows the next record, a number that many, q ends."


def paced(
    records: Iterator[Record],
    console: Console,
    speed: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Record]:
    """Print and yield each record at its time, ``speed`` times as fast as recorded.

    Records without a time are not delayed.
    """
    printer = _NoticePrinter(console)
    state = State()
    began: tuple[float, float] | None = None
    for record in records:
        if record.at is not None:
            began = began or (record.at, clock())
            wait = (record.at - began[0]) / speed - (clock() - began[1])
            if wait > 0:
                sleep(wait)
        before, state = state, reduce(state, record)
        printer.print_record(before, record, state)
        yield record
    printer.end_line()


def stepped(
    records: Iterator[Record],
    console: Console,
    *,
    lines: Iterator[str] | None = None,
) -> Iterator[Record]:
    """Print and yield records as requested by ``lines`` (default: standard input).

    ``q`` or the end of the input ends the playback.
    """
    lines = iter(sys.stdin) if lines is None else lines
    console.print(_HINT, style="dim")
    due, first = 1, None
    for record in records:
        while due == 0:
            due = _requested(next(lines, "q").strip(), console)
        if due < 0:
            return
        due -= 1
        first = record.at if first is None else first
        console.print(_record_text(record, first))
        yield record


def _requested(line: str, console: Console) -> int:
    """The number of records that a line requests; -1 ends the playback."""
    if line == "q":
        return -1
    if not line or (line.isascii() and line.isdecimal() and len(line) < 10):
        return int(line or 1)
    console.print(_HINT, style="dim")
    return 0


def _record_text(record: Record, first: float | None) -> Text:
    line = Text(f"{record.seq:>5} ")
    line.append(f"{_elapsed(record.at, first):>9} {record.dir:<5} ", style="dim")
    if record.epoch:
        line.append(f"epoch {record.epoch} ", style="dim")
    line.append(single_line(record.event.type))
    if record.audio_bytes:
        line.append(f"  {record.audio_bytes} bytes of audio", style="dim")
    else:
        line.append(f"  {single_line(_detail(record.event))}".rstrip(), style="dim")
    return line


#: The fields that describe an event best; the first existing one is shown.
_DETAILS = ("delta", "transcript", "text", "arguments", "reason", "name")


def _detail(event: msgspec.Struct) -> str:
    fields = msgspec.structs.asdict(event)
    for name in _DETAILS:
        if isinstance(value := fields.get(name), str):
            return value
    error = fields.get("error")
    return error.message or "" if isinstance(error, events.ErrorDetail) else ""


def _elapsed(at: float | None, first: float | None) -> str:
    return "" if at is None or first is None else f"{at - first:.3f} s"


class _NoticePrinter(TranscriptPrinter):
    """Prints the notices of a session with their times."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._first: float | None = None
        self._time = ""

    def print_record(self, before: State, record: Record, after: State) -> None:
        """Print the notices of this record."""
        session = after.sessions.get(record.session)
        if session is None:
            return
        self._first = record.at if self._first is None else self._first
        self._time = f"{_elapsed(record.at, self._first):>9} "
        for notice in notices(before.sessions.get(session.id), record, session):
            if (on_notice := _HANDLERS.get(notice.name)) is not None:
                on_notice(self, session, *notice.args)

    def on_delta(self, session: Session, line: Transcript, delta: str) -> None:
        self.print_delta(session, line, delta, self._time)

    def on_final(self, session: Session, line: Transcript) -> None:
        self.print_final(session, line, self._time)

    def on_speech(self, session: Session, item_id: str) -> None:
        self.print_note("(speech detected)", self._time)

    def on_cleared(self, session: Session, response_id: str) -> None:
        self.print_note("(interrupted)", self._time)

    def on_call(self, session: Session, call: Call) -> None:
        self.print_note(f"call: {call.name}({call.arguments})", self._time)

    def on_status(self, session: Session, status: SessionStatus) -> None:
        self.print_note(f"session {session.id}: {status.value}", self._time)

    def on_reconnected(self, session: Session, made: Reconnection) -> None:
        self.print_note(reconnection_text(made), self._time)

    def on_problem(self, session: Session, problem: Problem) -> None:
        self.print_note(f"problem: {problem.message}", self._time)


_HANDLERS: dict[str, Callable[..., Any]] = {
    "transcript_delta": _NoticePrinter.on_delta,
    "transcript": _NoticePrinter.on_final,
    "speech_started": _NoticePrinter.on_speech,
    "playback_cleared": _NoticePrinter.on_cleared,
    "tool_call": _NoticePrinter.on_call,
    "status": _NoticePrinter.on_status,
    "reconnected": _NoticePrinter.on_reconnected,
    "error": _NoticePrinter.on_problem,
}
