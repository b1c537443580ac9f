"""What a command prints at its end: the state, for a person or for a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from duologue.core import (
    Session,
    State,
    Transcript,
    select_cost,
    select_metadata,
    select_pending_calls,
    select_problems,
    select_transcripts,
    select_turns,
    select_usage,
    summary,
)

__all__ = ["clean", "print_json", "print_summary", "speaker"]


def print_json(state: State, **more: Any) -> None:
    """Print one line of JSON, UTF-8 whatever the locale: ``{"sessions": […], …}``."""
    sessions = [summary(session) for session in state.sessions.values()]
    line = msgspec.json.encode({"sessions": sessions, **more})
    sys.stdout.flush()
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


#: C0 and C1 controls, and the marks that turn the direction of writing.
_HARMFUL = dict.fromkeys(
    [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)


def clean(text: str) -> str:
    """Text of a model without what could command a terminal."""
    return text.translate({**_HARMFUL, 0x0A: " ", 0x09: " "})


def speaker(session: Session, line: Transcript) -> str:
    """Whose line it is; a scripted reply says so."""
    if line.role == "user":
        return "you"
    note = select_metadata(session, line.item_id).get("duologue")
    return f"assistant ({clean(note)})" if note else "assistant"


def print_summary(
    console: Console,
    state: State,
    connect_ms: float | None = None,
    *,
    counts: bool = False,
) -> None:
    """The transcript in order, the latency of each turn, what is open or went wrong.

    With ``counts`` what was used, and how much of the log said nothing.
    """
    for session in state.sessions.values():
        status = session.connection.status
        console.print(f"\n[bold]session {escape(clean(session.id))}[/] ({status})")
        for line in select_transcripts(session):
            console.print(_spoken(session, line))
        for words in _latencies(session):
            console.print(f"  {words}")
        for call in select_pending_calls(session):
            name, call_id = clean(call.name), clean(call.call_id or "no id")
            console.print(f"  call without output: {escape(f'{name} ({call_id})')}")
        for problem in select_problems(session):
            code = f" ({problem.code})" if problem.code else ""
            words = escape(clean(problem.message + code))
            console.print(f"  [red]problem:[/] {words}")
        if counts:
            _print_counts(console, session)
    if connect_ms is not None:
        console.print(f"  connected in {connect_ms:.0f} ms")


def _latencies(session: Session) -> Iterator[str]:
    for number, turn in enumerate(select_turns(session), start=1):
        since = "the end of speech" if turn.item_id else "the request"
        if turn.first_audio_ms is not None:
            yield (
                f"turn {number}: {turn.first_audio_ms:.0f} ms "
                f"from {since} to the first audio"
            )
        if turn.barge_in_ms is not None:
            yield (
                f"turn {number}: {turn.barge_in_ms:.0f} ms from the "
                "interruption to silence"
            )


def _print_counts(console: Console, session: Session) -> None:
    """What was used, and events that say nothing, each where there is any."""
    usage, cost, tally = select_usage(session), select_cost(session), session.tally
    if usage.total:
        money = "" if cost is None else f", {cost.usd:.4f} USD by {clean(cost.model)}"
        console.print(f"  {usage.total} tokens{escape(money)}")
    counted = {
        "malformed": tally.malformed,
        "of an unknown type": tally.unknown,
        "twice": tally.duplicate,
        "too late": tally.late,
    }
    ignored = ", ".join(f"{number} {why}" for why, number in counted.items() if number)
    if ignored:
        console.print(f"  of {tally.events} events: {ignored}")


def _spoken(session: Session, line: Transcript) -> Text:
    text = Text(f"  {speaker(session, line)}: ", style="bold")
    if line.interrupted is None:
        text.append(clean(line.text) or "(spoken, no words)", style="not bold")
        return text
    heard = clean(line.heard or "")
    text.append(heard, style="not bold")
    text.append(f" [interrupted after {line.interrupted} ms", style="not bold dim")
    if unheard := clean(line.text)[len(heard) :].strip():
        text.append(", not heard: ", style="not bold dim")
        text.append(unheard, style="not bold strike")
    text.append("]", style="not bold dim")
    return text
