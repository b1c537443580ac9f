"""A script that stands in for a language model, and says so."""

from __future__ import annotations

import re
from collections.abc import Callable

from .ports import Prompt

__all__ = ["LABEL", "ScriptedMind", "in_words"]

#: What every face of a scripted reply says.
LABEL = "scripted, not a language model"

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
    *("seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
#: How far it counts at most.
_FAR = 100
_NUMBERS = "|".join((*_TENS, *reversed(_UNITS), "hundred", r"\d+"))
_NUMBER = re.compile(rf"\b(?:{_NUMBERS})(?:[ -](?:{_NUMBERS}))?\b", re.IGNORECASE)


def in_words(number: int) -> str:
    """A number from 0 to 100 as it is said."""
    if number < len(_UNITS):
        return _UNITS[number]
    if number >= _FAR:
        return "one hundred"
    tens, rest = divmod(number, 10)
    return _TENS[tens - 2] + (f" {_UNITS[rest]}" if rest else "")


def _number(words: str) -> int:
    """What number words say, 0 to 100; 10 where they say none."""
    if words.isdigit():
        return min(int(words), _FAR)
    spoken = words.lower().replace("-", " ")
    known = {in_words(number): number for number in range(_FAR + 1)}
    known |= {"hundred": _FAR}
    return known.get(spoken, 10)


def _count(found: re.Match[str]) -> str:
    numbers = _NUMBER.findall(found["rest"])
    last = max(1, _number(numbers[-1] if numbers else ""))
    return f"{', '.join(map(in_words, range(1, last + 1))).capitalize()}."


def _say(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text


#: Pattern in what was heard, and the reply; the first that is found counts.
_SCRIPT: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), reply)
    for pattern, reply in (
        (r"\b(count|numbers|from one to)\b(?P<rest>.*)", _count),
        (r"\bhear me\b", _say("Yes, I can hear you well.")),
        (
            r"\b(your name|who are you|what are you)\b",
            _say("I am the scripted voice of duologue, not a language model."),
        ),
        (
            r"\b(what can you do|help)\b",
            _say("I can greet you, tell you that I hear you, and count for you."),
        ),
        (
            r"\b(hello|hi|hey|good (morning|afternoon|evening))\b",
            _say("Hello there. It is good to hear you."),
        ),
        (r"\b(thanks|thank you)\b", _say("You are welcome.")),
        (r"\b(goodbye|bye)\b", _say("Goodbye, and thank you for the conversation.")),
    )
)


class ScriptedMind:
    """Answers from a small table, and otherwise says that it is a script."""

    label = LABEL

    async def reply(self, prompt: Prompt) -> str:
        """The scripted reply to what was said last."""
        heard = prompt.heard
        for pattern, reply in _SCRIPT:
            if (found := pattern.search(heard)) is not None:
                return reply(found)
        count = len(heard.split())
        if not count:
            return "I did not hear any words. This is a scripted reply."
        words = "one word" if count == 1 else f"{in_words(min(count, _FAR))} words"
        return f"I heard {words}. This is a scripted reply, not a language model."
