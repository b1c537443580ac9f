"""What ``talk`` shows on a terminal, printed where it can be read."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from duologue.adapters.cli.talk.screen_layout import Scene, Seat, draw, grid
from duologue.core import Session, fold
from duologue.core.testing import Service, to_records


def session_of(service: Service, name: str = "s") -> Session:
    return fold(to_records(service.frames, session=name)).sessions[name]


def console(width: int = 60, height: int = 12) -> Console:
    """A terminal that keeps what it is given."""
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


def shown(scene: Scene, *, styles: bool = False, **size: int) -> list[str]:
    """The lines of the screen, without the blanks at their ends."""
    terminal = console(**size)
    terminal.print(draw(scene), end="")
    text = terminal.export_text(styles=styles)
    return [line.rstrip() for line in text.split("\n")][:-1]


def of(service: Service, **more: Any) -> Scene:
    return Scene(seats=(Seat(number=1, session=session_of(service), **more),))


def inside(lines: list[str]) -> list[str]:
    """What a panel has between its borders."""
    return [line[2:-1].rstrip() for line in lines[1:-1]]


def talked() -> Service:
    service = Service()
    service.note("duologue.connecting")
    service.note("duologue.connected")
    service.created(model="gpt-realtime")
    service.spoken("can you hear me?")
    return service


def test_both_speakers_with_the_latency_of_the_turn() -> None:
    """A reply as far as it came, who speaks, and what it cost so far."""
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


def test_what_was_not_heard_of_an_interrupted_reply_is_struck() -> None:
    """What was heard is not; the time says when it was cut off."""
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
    scene = of(service)
    (line,) = (line for line in inside(shown(scene, width=90)) if "not heard" in line)
    (styled,) = (
        line for line in shown(scene, styles=True, width=90) if "not heard" in line
    )

    heard, _, rest = line.partition(" [interrupted after 10 ms, not heard: ")
    assert heard == "assistant 1100 ms: one two"
    assert rest == "three four]"
    assert "\x1b[9mthree four\x1b[0m" in styled
    assert styled.count("\x1b[9m") == 1


def test_a_call_with_its_arguments_and_its_state() -> None:
    """While it runs, and with what it gave."""
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
    """From -60 dBFS to full scale; nothing where nothing is measured."""
    service = talked()
    (loud,) = (
        line for line in shown(of(service, said=0.0, heard=-30.0)) if "━" in line
    )
    (deaf,) = (line for line in shown(of(service, heard=-96.0)) if "assistant" in line)

    you, _, assistant = loud.partition("assistant")
    assert you.count("━") > 15
    assert "╸" not in you
    # Half of the bar, whose other half is there in another colour.
    assert "╸" in assistant or "╺" in assistant
    assert "━" not in deaf.partition("assistant")[0]


def test_who_is_muted_is_told() -> None:
    service = talked()
    service.note("duologue.muted", muted=True)
    assert any("you (muted)" in line for line in shown(of(service)))


def test_the_last_problems_stay_in_sight() -> None:
    """Two of them, in one line each, whatever is in them."""
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


def test_nothing_that_a_model_says_commands_the_terminal() -> None:
    """Escapes, C1 and marks of direction are left out wherever they stand."""
    evil = "a\x1b[2Jb\x9b31mc\u202ed[bold]e\x07"
    service = talked()
    response = service.begin(metadata={"duologue": evil})
    service.end(response, [service.call(response, evil, [f'"{evil}"'])])
    service.typed(evil)
    service.send("error", error={"type": "t", "message": evil})
    scene = Scene(
        seats=(Seat(number=1, session=session_of(service)),), typed=evil, notes=(evil,)
    )
    text = "\n".join(shown(scene))

    assert not set(text) & {"\x1b", "\x9b", "\u202e", "\x07"}
    assert text.count("abcd[bold]e") == 6


@pytest.mark.parametrize("length", [5, 500])
def test_the_last_lines_that_fit_are_shown(length: int) -> None:
    """However long the talk is, and however long one line of it."""
    service = talked()
    for number in range(length):
        service.typed(f"line {number}")
    service.typed(" ".join(f"w{number}" for number in range(40 * length)) + " end")
    lines = shown(of(service), height=10)

    assert len(lines) == 10
    assert "end" in " ".join(inside(lines)[-3:])
    assert f"w{40 * length - 1}" in " ".join(inside(lines))


def test_several_sessions_have_a_panel_each() -> None:
    """With their numbers; beneath them who is spoken to, and what is typed."""
    seats = tuple(
        Seat(number=number, session=session_of(talked(), f"s{number}"))
        for number in (1, 2, 3)
    )
    lines = shown(Scene(seats=seats, focus=2, typed="hel"), width=90, height=22)

    titles = [line.split("─")[1].strip() for line in lines if "╭" in line]
    assert titles == [f"{n} of 3  open  gpt-realtime" for n in (1, 2, 3)]
    assert lines[-1] == "to 2> hel▏"


def test_where_not_all_fit_the_one_spoken_to_is_shown() -> None:
    seats = tuple(
        Seat(number=number, session=session_of(talked(), f"s{number}"))
        for number in range(1, 8)
    )
    lines = shown(Scene(seats=seats, focus=5), width=50, height=15)
    titles = [line.split("  ")[0] for line in lines if "╭" in line]
    beside = shown(Scene(seats=seats, focus=7), width=80, height=8)

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
def test_how_panels_are_set(
    count: int, width: int, height: int, places: tuple[int, int]
) -> None:
    """Beneath each other as long as there is room, then beside each other."""
    assert grid(count, width, height) == places


def test_a_screen_of_any_size_is_filled_and_not_exceeded() -> None:
    scene = Scene(
        seats=(Seat(number=1, session=session_of(talked()), said=-3.0, heard=-9.0),),
        typed="hello",
        notes=("one", "two", "three", "four"),
    )
    for width, height in ((1, 1), (3, 2), (12, 5), (40, 7), (200, 60)):
        lines = shown(scene, width=width, height=height)
        assert len(lines) == height, (width, height)
        assert max(map(len, lines)) <= width, (width, height)


def test_before_there_is_a_session_there_are_notes() -> None:
    assert shown(Scene(seats=(), notes=("wait",)), height=3) == ["", "", "wait"]


def test_scenes_look_alike_as_long_as_nothing_changed() -> None:
    """Told by identity: what is compared must not cost more as the talk grows."""
    session = session_of(talked())

    def scene(**seat: Any) -> Scene:
        return Scene(seats=(Seat(**{"number": 1, "session": session, **seat}),))

    assert scene(said=-3.0).is_like(scene(said=-3.0))
    assert not scene(said=-3.0).is_like(scene(said=-4.0))
    assert not scene().is_like(scene(session=session_of(talked())))
    assert not scene().is_like(Scene(seats=()))
    assert not Scene(seats=(), typed="a").is_like(Scene(seats=(), typed="b"))
