"""The replies of the default scenario."""

from __future__ import annotations

import pytest

from duologue.local.interfaces import Line, Prompt, Say
from duologue.local.replies.number_words import in_words
from duologue.local.replies.scenario_file import default_replies
from duologue.local.replies.scripted_replies import (
    LABEL,
    Rule,
    ScriptedReplies,
    Step,
)

TEN = "One, two, three, four, five, six, seven, eight, nine, ten."


async def answer(text: str) -> str:
    lines = (Line("user", text), Line("assistant", "hello"))
    thoughts = [each async for each in default_replies().reply(Prompt("", lines))]
    [said] = thoughts
    assert isinstance(said, Say)
    return said.text


@pytest.mark.parametrize(
    ("heard", "reply"),
    [
        ("can you hear me", "Yes, I can hear you well."),
        ("hello", "Hello there. It is good to hear you."),
        ("Good morning!", "Hello there. It is good to hear you."),
        ("count to ten", TEN),
        ("please count", TEN),
        ("count to 3", "One, two, three."),
        ("count to three please", "One, two, three."),
        ("count to zero", TEN),
        ("what is two plus you", "I can not find a sum in that."),
        ("thank you", "You are welcome."),
        (
            "what is your name",
            "I am the scripted voice of duologue, not a language model.",
        ),
    ],
)
async def test_a_pattern_has_a_reply(heard: str, reply: str) -> None:
    assert await answer(heard) == reply


@pytest.mark.parametrize(
    ("heard", "last", "count"),
    [
        ("count to twenty", "twenty.", 20),
        ("tell me the numbers from one to twenty", "twenty.", 20),
        ("tell me the bumpers from one to twenty", "twenty.", 20),
        ("please count to twenty five", "twenty five.", 25),
        ("count from one to forty-two", "forty two.", 42),
        ("count to one hundred", "one hundred.", 100),
        ("count to 9999", "one hundred.", 100),
    ],
)
async def test_it_counts_up_to_the_number(heard: str, last: str, count: int) -> None:
    reply = (await answer(heard)).split(", ")
    assert reply[-1] == last
    assert len(reply) == count


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ("", "any words"),
        ("blue", "one word."),
        ("seven green cats sang", "four words."),
    ],
)
async def test_other_replies_say_that_they_are_scripted(heard: str, words: str) -> None:
    reply = await answer(heard)
    assert words in reply
    assert "This is a scripted reply" in reply


async def test_a_rule_made_in_python_runs_its_own_step_and_those_in_do() -> None:
    """No step is dropped: those in ``do`` come last."""
    rule = Rule(hear=".", say="Hello.", do=[Step(say="Bye.")])
    replies = ScriptedReplies([rule]).reply(Prompt("", (Line("user", "hi"),)))
    assert [part async for part in replies] == [Say("Hello."), Say(" Bye.")]


def test_the_label_is_plain() -> None:
    assert default_replies().label == LABEL == "scripted, not a language model"


def test_numbers_in_words() -> None:
    said = [in_words(number) for number in (0, 7, 13, 20, 21, 99, 100)]
    assert said == [
        *("zero", "seven", "thirteen", "twenty", "twenty one", "ninety nine"),
        "one hundred",
    ]
