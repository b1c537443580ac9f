"""A recording as it goes by: its words at the pace of the recording, or its records."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from duologue.core import (
    Call,
    Problem,
    Record,
    Session,
    SessionStatus,
    State,
    Transcript,
    reduce,
)
from duologue.core.views.notices import notices

from ..shared.session_report import clean, speaker

__all__ = ["paced", "stepped"]

_HINT = "Enter shows the next record, a number so many, q ends it."


def paced(
    records: Iterator[Record],
    console: Console,
    speed: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Record]:
    """Pass the records on when they are due, ``speed`` times as fast as recorded.

    Prints what they say. Records without a time come at once.
    """
    words = _Words(console)
    state = State()
    began: tuple[float, float] | None = None
    for record in records:
        if record.at is not None:
            began = began or (record.at, clock())
            wait = (record.at - began[0]) / speed - (clock() - began[1])
            if wait > 0:
                sleep(wait)
        before, state = state, reduce(state, record)
        words.tell(before, record, state)
        yield record
    words.end_line()


def stepped(
    records: Iterator[Record],
    console: Console,
    *,
    lines: Iterator[str] | None = None,
) -> Iterator[Record]:
    """Print each record and pass it on, as ``lines`` (standard input) let them.

    The end of the lines, or ``q``, is the end of the records.
    """
    lines = iter(sys.stdin) if lines is None else lines
    console.print(_HINT, style="dim")
    due, first = 1, None
    for record in records:
        while due == 0:
            due = _wanted(next(lines, "q").strip(), console)
        if due < 0:
            return
        due -= 1
        first = record.at if first is None else first
        console.print(_described(record, first))
        yield record


def _wanted(line: str, console: Console) -> int:
    """How many records a line asks for; -1 to end."""
    if line == "q":
        return -1
    if not line or (line.isascii() and line.isdecimal() and len(line) < 10):
        return int(line or 1)
    console.print(_HINT, style="dim")
    return 0


def _described(record: Record, first: float | None) -> Text:
    line = Text(f"{record.seq:>5} ")
    line.append(f"{_since(record.at, first):>9} {record.dir:<5} ", style="dim")
    if record.epoch:
        line.append(f"epoch {record.epoch} ", style="dim")
    line.append(clean(record.event.type))
    if record.audio_bytes:
        line.append(f"  {record.audio_bytes} bytes of audio", style="dim")
    else:
        line.append(f"  {clean(_detail(record.event))}".rstrip(), style="dim")
    return line


#: The fields that say most of an event, the first that there is.
_TELLING = ("delta", "transcript", "text", "arguments", "reason", "name")


def _detail(event: Any) -> str:
    for name in _TELLING:
        if isinstance(value := getattr(event, name, None), str):
            return value
    return str(getattr(getattr(event, "error", None), "message", "") or "")


def _since(at: float | None, first: float | None) -> str:
    return "" if at is None or first is None else f"{at - first:.3f} s"


class _Words:
    """Prints what the notices of a session tell, deltas as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._current: tuple[str, str] | None = None
        self._shown: set[tuple[str, str]] = set()
        self._first: float | None = None
        self._at: float | None = None

    def tell(self, before: State, record: Record, after: State) -> None:
        """Print what this record brought."""
        session = after.sessions.get(record.session)
        if session is None:
            return
        self._at = record.at
        self._first = record.at if self._first is None else self._first
        for notice in notices(before.sessions.get(session.id), record, session):
            if (show := _SHOWN.get(notice.name)) is not None:
                show(self, session, *notice.args)

    def on_delta(self, session: Session, line: Transcript, delta: str) -> None:
        """A piece of a text."""
        key = (session.id, line.item_id)
        if key != self._current:
            self._begin(session, line)
            # After a change of speaker the line goes on where it was. The text of a
            # line is trimmed, what follows is not.
            trailing = delta[len(delta.rstrip()) :]
            delta = delta.lstrip() if key in self._shown else line.text + trailing
        self._shown.add(key)
        self._console.print(Text(clean(delta)), end="")

    def on_final(self, session: Session, line: Transcript) -> None:
        """All of a text."""
        key = (session.id, line.item_id)
        if key not in self._shown and line.text:
            self._begin(session, line)
            self._console.print(Text(clean(line.text)), end="")
            self._shown.add(key)
        if key == self._current:
            self.end_line()

    def on_speech(self, session: Session, item_id: str) -> None:
        """The user begins to speak."""
        self._note("(you are heard)")

    def on_cleared(self, session: Session, response_id: str) -> None:
        """The reply is cut off."""
        self._note("(interrupted)")

    def on_call(self, session: Session, call: Call) -> None:
        """A function is to be run."""
        self._note(f"call: {call.name}({call.arguments})")

    def on_status(self, session: Session, status: SessionStatus) -> None:
        """A session comes or goes."""
        self._note(f"session {session.id}: {status.value}")

    def on_problem(self, session: Session, problem: Problem) -> None:
        """Something went wrong."""
        self._note(f"problem: {problem.message}")

    def end_line(self) -> None:
        """End the line that is being written."""
        if self._current is not None:
            self._console.print()
            self._current = None

    def _begin(self, session: Session, line: Transcript) -> None:
        self.end_line()
        self._current = (session.id, line.item_id)
        name = speaker(session, line)
        self._console.print(self._time(), Text(f"{name}: ", style="bold"), end="")

    def _note(self, note: str) -> None:
        self.end_line()
        self._console.print(self._time(), Text(clean(note), style="dim"))

    def _time(self) -> Text:
        return Text(f"{_since(self._at, self._first):>9}", style="dim")


_SHOWN: dict[str, Callable[..., None]] = {
    "transcript_delta": _Words.on_delta,
    "transcript": _Words.on_final,
    "speech_started": _Words.on_speech,
    "playback_cleared": _Words.on_cleared,
    "tool_call": _Words.on_call,
    "status": _Words.on_status,
    "error": _Words.on_problem,
}
