"""The screen of ``talk``, rendered to text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from duologue.adapters.cli.talk.screen_layout import PanelState, ScreenState, draw, grid
from duologue.core import Session, fold
from duologue.core.testing import Service, to_records


def session_of(service: Service, name: str = "s") -> Session:
    return fold(to_records(service.frames, session=name)).sessions[name]


def console(width: int = 60, height: int = 12) -> Console:
    """A terminal that records its output."""
    return Console(
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        width=width,
        height=height,
        highlight=False,
        _environ={},
    )


def shown(state: ScreenState, *, styles: bool = False, **size: int) -> list[str]:
    """The lines of the screen without trailing blanks."""
    terminal = console(**size)
    terminal.print(draw(state), end="")
    text = terminal.export_text(styles=styles)
    return [line.rstrip() for line in text.split("\n")][:-1]


def of(service: Service, **more: Any) -> ScreenState:
    return ScreenState(
        panels=(PanelState(number=1, session=session_of(service), **more),)
    )


def inside(lines: list[str]) -> list[str]:
    """The lines of a panel without its borders."""
    return [line[2:-1].rstrip() for line in lines[1:-1]]


def talked() -> Service:
    service = Service()
    service.note("duologue.connecting")
    service.note("duologue.connected")
    service.created(model="gpt-realtime")
    service.spoken("can you hear me?")
    return service


def test_both_speakers_with_the_latency_of_the_turn() -> None:
    """An unfinished reply, its speaker, and the usage so far."""
    service = talked()
    response = service.begin(metadata={"duologue": "scripted"})
    service.say(response, ["Yes, ", "I "], spoken=False)
    lines = shown(of(service), height=7)

    assert lines[0].startswith("╭─ open  gpt-realtime ───")
    assert inside(lines)[:3] == [
        "you: can you hear me?",
        "assistant (scripted) 1000 ms: Yes, I",
        "",
    ]
    assert lines[-1].endswith("─ no tokens yet ─╯")
    service.end(response)
    assert "3 tokens" in shown(of(service), height=7)[-1]


def test_the_unheard_part_of_a_reply_is_struck_through() -> None:
    """The heard part is not; the time is that of the interruption."""
    service = talked()
    response = service.begin()
    said = service.say(response, ["one two ", "three four"])
    service.finish(said)
    service.send(
        "conversation.item.truncated",
        item_id=said["item_id"],
        content_index=0,
        audio_end_ms=10,
    )
    state = of(service)
    (line,) = (line for line in inside(shown(state, width=90)) if "not heard" in line)
    (styled,) = (
        line for line in shown(state, styles=True, width=90) if "not heard" in line
    )

    heard, _, rest = line.partition(" [interrupted after 10 ms, not heard: ")
    assert heard == "assistant 1100 ms: one two"
    assert rest == "three four]"
    assert "\x1b[9mthree four\x1b[0m" in styled
    assert styled.count("\x1b[9m") == 1


def test_a_call_with_its_arguments_and_its_state() -> None:
    """While it runs, and with its output."""
    service = talked()
    response = service.begin()
    call = service.call(response, "route", ['{"to":', '"Oslo"}'])
    service.end(response, [call])
    service.note("duologue.tool_started", call_id=call["call_id"])
    assert '→ route({"to":"Oslo"})  running' in inside(shown(of(service)))
    service.answer(call["call_id"], "five miles")
    service.note("duologue.tool_finished", call_id=call["call_id"])
    assert '→ route({"to":"Oslo"})  done: five miles' in inside(shown(of(service)))


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        ([{"type": "duologue.connecting"}], "╭─ connecting … ─"),
        (
            [
                {"type": "duologue.connecting"},
                {"type": "duologue.connected"},
                {
                    "type": "duologue.disconnected",
                    "reason": "the network is away",
                    "expected": False,
                    "retrying": True,
                },
            ],
            "╭─ reconnecting … (the network is away) ─",
        ),
        (
            [
                {"type": "duologue.connecting"},
                {
                    "type": "duologue.disconnected",
                    "reason": "no\x1b[2J way",
                    "expected": False,
                },
            ],
            "╭─ failed (no way) ─",
        ),
    ],
)
def test_the_state_of_the_connection(facts: list[dict[str, Any]], title: str) -> None:
    service = Service()
    service.frames = facts
    assert shown(of(service))[0].startswith(title)


def test_levels_of_both_sides() -> None:
    """From -60 dBFS to full scale; no meter without a level."""
    service = talked()
    (loud,) = (
        line
        for line in shown(of(service, input_dbfs=0.0, output_dbfs=-30.0))
        if "━" in line
    )
    (silent,) = (
        line for line in shown(of(service, output_dbfs=-96.0)) if "assistant" in line
    )

    you, _, assistant = loud.partition("assistant")
    assert you.count("━") > 15
    assert "╸" not in you
    # Half of the bar; the other half has another colour.
    assert "╸" in assistant or "╺" in assistant
    assert "━" not in silent.partition("assistant")[0]


def test_a_muted_microphone_is_marked() -> None:
    service = talked()
    service.note("duologue.muted", muted=True)
    assert any("you (muted)" in line for line in shown(of(service)))


def test_the_last_problems_are_always_shown() -> None:
    """Two of them, on one line each."""
    service = talked()
    for number in range(3):
        message = f"no {number}\n\x1b[31m{'x' * 100}"
        service.send("error", error={"type": "t", "message": message})
    for number in range(20):
        service.typed(f"line {number}")
    lines = inside(shown(of(service)))

    assert [line[:15] for line in lines[-3:-1]] == [
        "problem: no 1 x",
        "problem: no 2 x",
    ]
    assert lines[-4] == "you: line 19"


def test_foreign_text_cannot_control_the_terminal() -> None:
    """Escape sequences, C1 and Bidi_Control characters are removed everywhere."""
    evil = "a\x1b[2Jb\x9b31mc\u202ed[bold]e\x07"
    service = talked()
    response = service.begin(metadata={"duologue": evil})
    service.end(response, [service.call(response, evil, [f'"{evil}"'])])
    service.typed(evil)
    service.send("error", error={"type": "t", "message": evil})
    state = ScreenState(
        panels=(PanelState(number=1, session=session_of(service)),),
        typed=evil,
        messages=(evil,),
    )
    text = "\n".join(shown(state))

    assert not set(text) & {"\x1b", "\x9b", "\u202e", "\x07"}
    assert text.count("abcd[bold]e") == 6


@pytest.mark.parametrize("length", [5, 500])
def test_the_last_lines_that_fit_are_shown(length: int) -> None:
    """For any number of lines, and for a line of any length."""
    service = talked()
    for number in range(length):
        service.typed(f"line {number}")
    service.typed(" ".join(f"w{number}" for number in range(40 * length)) + " end")
    lines = shown(of(service), height=10)

    assert len(lines) == 10
    assert "end" in " ".join(inside(lines)[-3:])
    assert f"w{40 * length - 1}" in " ".join(inside(lines))


def test_each_of_several_sessions_has_a_panel() -> None:
    """With its number; below them the focus and the input line."""
    panels = tuple(
        PanelState(number=number, session=session_of(talked(), f"s{number}"))
        for number in (1, 2, 3)
    )
    lines = shown(ScreenState(panels=panels, focus=2, typed="hel"), width=90, height=22)

    titles = [line.split("─")[1].strip() for line in lines if "╭" in line]
    assert titles == [f"{n} of 3  open  gpt-realtime" for n in (1, 2, 3)]
    assert lines[-1] == "to 2> hel▏"


def test_if_not_all_panels_fit_the_one_with_the_focus_is_shown() -> None:
    panels = tuple(
        PanelState(number=number, session=session_of(talked(), f"s{number}"))
        for number in range(1, 8)
    )
    lines = shown(ScreenState(panels=panels, focus=5), width=50, height=15)
    titles = [line.split("  ")[0] for line in lines if "╭" in line]
    beside = shown(ScreenState(panels=panels, focus=7), width=80, height=8)

    assert titles == ["╭─ 5 of 7", "╭─ 6 of 7"]
    assert beside[0].startswith("╭─ 7 of 7")
    assert len(beside[0]) == 40


@pytest.mark.parametrize(
    ("count", "width", "height", "places"),
    [
        (0, 80, 24, (1, 1)),
        (1, 80, 24, (1, 1)),
        (3, 80, 24, (3, 1)),
        (4, 80, 24, (2, 2)),
        (4, 200, 10, (1, 4)),
        (50, 80, 24, (3, 2)),
        (5, 10, 3, (1, 1)),
    ],
)
def test_rows_and_columns_of_panels(
    count: int, width: int, height: int, places: tuple[int, int]
) -> None:
    """One column as long as there is room, then several."""
    assert grid(count, width, height) == places


def test_a_screen_of_any_size_is_filled_and_not_exceeded() -> None:
    panel = PanelState(
        number=1, session=session_of(talked()), input_dbfs=-3.0, output_dbfs=-9.0
    )
    state = ScreenState(
        panels=(panel,),
        typed="hello",
        messages=("one", "two", "three", "four"),
    )
    for width, height in ((1, 1), (3, 2), (12, 5), (40, 7), (200, 60)):
        lines = shown(state, width=width, height=height)
        assert len(lines) == height, (width, height)
        assert max(map(len, lines)) <= width, (width, height)


def test_messages_are_shown_before_there_is_a_session() -> None:
    assert shown(ScreenState(panels=(), messages=("wait",)), height=3) == [
        "",
        "",
        "wait",
    ]


def test_states_look_alike_if_nothing_changed() -> None:
    """Compared by identity, so the cost does not grow with the conversation."""
    session = session_of(talked())

    def state(**more: Any) -> ScreenState:
        panel = PanelState(**{"number": 1, "session": session, **more})
        return ScreenState(panels=(panel,))

    assert state(input_dbfs=-3.0).is_like(state(input_dbfs=-3.0))
    assert not state(input_dbfs=-3.0).is_like(state(input_dbfs=-4.0))
    assert not state().is_like(state(session=session_of(talked())))
    assert not state().is_like(ScreenState(panels=()))
    assert not ScreenState(panels=(), typed="a").is_like(
        ScreenState(panels=(), typed="b")
    )
