"""Fault files: their meaning, and the errors of invalid ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from duologue.local import Faults, FaultsError, load_faults
from duologue.local.faults.injector import (
    TRANSCRIBED,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Errors,
    Expire,
    Fail,
    Fault,
    Late,
    Mute,
    Orphan,
    Reorder,
)

ANY = ("*",)
CREATED = ("response.created",)


def read(folder: Path, text: str) -> Faults:
    path = folder / "faults.yaml"
    path.write_text(text, encoding="utf-8")
    return load_faults(path)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("event: '*', drop: true", Fault(does=Drop(), events=ANY)),
        ("event: '*', delay: 0.2", Fault(does=Delay(0.2, 0.2), events=ANY)),
        ("event: '*', delay: [0, 1]", Fault(does=Delay(0, 1), events=ANY)),
        ("event: '*', late: [1, 2]", Fault(does=Late(1, 2), events=ANY)),
        ("event: '*', duplicate: 2", Fault(does=Duplicate(2), events=ANY)),
        ("event: '*', reorder: 3", Fault(does=Reorder(3), events=ANY)),
        ("event: '*', orphan: true", Fault(does=Orphan(), events=ANY)),
        ("fail: No words.", Fault(does=Fail("No words."), events=(TRANSCRIBED,))),
        (
            "fail: {message: No., code: busy}",
            Fault(does=Fail("No.", "busy"), events=(TRANSCRIBED,)),
        ),
        ("event: response.created, errors: 3", Fault(does=Errors(3), events=CREATED)),
        (
            "at: 2, errors: {count: 1, code: odd, message: M., type: t}",
            Fault(does=Errors(1, "odd", "M.", "t"), at=2),
        ),
        ("at: 0.5, expire: true", Fault(does=Expire(), at=0.5)),
        ("at: 1, cut: true", Fault(does=Cut(), at=1)),
        ("at: 1, cut: 1011", Fault(does=Cut(1011), at=1)),
        ("at: 1, cut: media", Fault(does=Mute(), at=1)),
        (
            "event: [response.created, '*.delta'], nth: [1, 3], chance: 0.5, "
            "session: 2, model: '*-flaky', drop: true",
            Fault(
                does=Drop(),
                events=("response.created", "*.delta"),
                nth=frozenset({1, 3}),
                chance=0.5,
                sessions=frozenset({2}),
                model="*-flaky",
            ),
        ),
    ],
)
def test_a_fault_is_read_as_its_effect(tmp_path: Path, line: str, fault: Fault) -> None:
    assert read(tmp_path, f"faults: [{{{line}}}]") == Faults((fault,))


def test_the_seed(tmp_path: Path) -> None:
    text = "seed: 7\nfaults: [{at: 1, cut: true}]"
    assert read(tmp_path, text) == Faults((Fault(does=Cut(), at=1),), seed=7)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1: faults: faults is missing"),
        ("seed: 1", "line 1: faults: faults is missing"),
        ("seed: x\nfaults: [{}]", "line 1: seed: Expected a whole number, got a text"),
        ("faults: {}", "line 1: faults: Expected a list, got a mapping"),
        ("faults:\n- evnt: x", "line 2: evnt: there is no such key; there are at,"),
        ("faults:\n- event: '*'", "line 2: faults: a fault needs one of drop, delay"),
        (
            "faults:\n- event: '*'\n  drop: true\n  late: 1",
            "line 4: late: a fault has one effect; drop is given too",
        ),
        ("faults:\n- drop: true", "line 2: drop: needs event"),
        (
            "faults:\n- {event: '*', drop: 3}",
            "line 2: drop: Expected true or false, got a whole number",
        ),
        ("faults:\n- {event: '*', drop: no}", "line 2: drop: expected true"),
        (
            "faults:\n- {at: 1, drop: true}",
            "line 2: at: cannot be used with drop; use event",
        ),
        ("faults:\n- cut: true", "line 2: cut: needs event or at, and not both"),
        (
            "faults:\n- {at: 1, event: '*', cut: true}",
            "line 2: cut: needs event or at, and not both",
        ),
        (
            "faults:\n- at: 1\n  nth: 1\n  cut: true",
            "line 3: nth: cannot be used with at",
        ),
        (
            "faults:\n- at: 1\n  cut: true\n  chance: 0.5",
            "line 4: chance: cannot be used with at",
        ),
        (
            "faults:\n- model: x\n  drop: true",
            "line 3: drop: needs event",
        ),
        (
            "faults:\n- model: x\n  cut: true",
            "line 3: cut: needs event or at, and not both",
        ),
        (
            "faults:\n- {at: 1, cut: 1005}",
            "line 2: cut: expected true, media or a close code",
        ),
        (
            "faults:\n- {at: 1, cut: no}",
            "line 2: cut: expected true, media or a close code",
        ),
        ("faults:\n- {at: -1, cut: true}", "line 2: at: Expected a number >= 0.0"),
        (
            "faults:\n- event: response.creatd\n  drop: true",
            "line 2: event: no service event matches response.creatd",
        ),
        (
            "faults:\n- {event: [], drop: true}",
            "line 2: event: Expected a list of length >= 1",
        ),
        (
            "faults:\n- {event: '*', delay: [2, 1]}",
            "line 2: delay: expected seconds or",
        ),
        (
            "faults:\n- {event: '*', delay: x}",
            "line 2: delay: Expected a number or a list, got a text",
        ),
        (
            "faults:\n- {event: '*', nth: 0, drop: true}",
            "line 2: nth: Expected a whole number >= 1",
        ),
        (
            "faults:\n- {event: '*', nth: [], drop: true}",
            "line 2: nth: Expected a list of length >= 1",
        ),
        (
            "faults:\n- {event: '*', chance: 2, drop: true}",
            "line 2: chance: Expected a number <= 1.0",
        ),
        (
            "faults:\n- {event: response.done, fail: x}",
            "line 2: event: fail works only with conversation.item.input_audio_transcr",
        ),
        (
            "faults:\n- fail: {code: x}",
            "line 2: fail: message is missing",
        ),
        (
            "faults:\n- {at: 1, errors: {code: x}}",
            "line 2: errors: count is missing",
        ),
        ("faults: [", "line 1: "),
    ],
)
def test_an_error_names_file_line_and_key(
    tmp_path: Path, text: str, error: str
) -> None:
    """The message is one line."""
    with pytest.raises(FaultsError) as raised:
        read(tmp_path, text)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'faults.yaml'}, {error}")
    assert "\n" not in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FaultsError, match=r"cannot read the faults .*No such file"):
        load_faults(tmp_path / "none.yaml")


def test_the_example_in_the_docs_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "faults.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(read(tmp_path, example).faults) == 7
