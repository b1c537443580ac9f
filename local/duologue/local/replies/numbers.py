"""Numbers as they are said: read from words, written in words, counted and added."""

from __future__ import annotations

import re

__all__ = ["NoNumber", "count_to", "in_words", "number_in", "numbers_in", "sum_of"]

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
    *("seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, 2)
}
#: Whole numbers: no part of 2.5 or of 1,000 is one.
_DIGITS = r"(?<!\d[.,])\d{1,6}(?![.,]?\d)"
_ANY = "|".join((*_TENS, *reversed(_UNITS), "hundred", "thousand", _DIGITS))
_NUMBER = re.compile(rf"\b(?:{_ANY})(?:[ -]+(?:{_ANY}))*\b", re.IGNORECASE)
_SIGNS = {
    "+": "plus",
    "-": "minus",
    "*": "times",
    "x": "times",
    "/": "divided by",
    "over": "divided by",
    "multiplied by": "times",
}
_SUM = re.compile(
    rf"(?P<a>{_NUMBER.pattern})\s*"
    r"(?P<sign>plus|minus|times|multiplied by|divided by|over|[-+*/x])"
    rf"\s*(?P<b>{_NUMBER.pattern})",
    re.IGNORECASE,
)
#: How far it counts at most.
_FAR = 100


class NoNumber(ValueError):
    """A text names no number, or no sum."""


def in_words(number: int) -> str:
    """A whole number below a million million as it is said."""
    if number < 0:
        return f"minus {in_words(-number)}"
    if number < len(_UNITS):
        return _UNITS[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _joined(_TENS[tens - 2], rest)
    for size, name in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if number >= size:
            count, rest = divmod(number, size)
            return _joined(f"{in_words(count)} {name}", rest)
    raise AssertionError(number)


def _joined(words: str, rest: int) -> str:
    return f"{words} {in_words(rest)}" if rest else words


def numbers_in(text: str) -> list[int]:
    """The numbers that a text names, in words or digits."""
    return [_value(found[0]) for found in _NUMBER.finditer(text)]


def _value(words: str) -> int:
    total = current = 0
    for word in re.split(r"[ -]+", words.lower()):
        if word == "hundred":
            current = max(1, current) * 100
        elif word == "thousand":
            total, current = total + max(1, current) * 1_000, 0
        else:
            current += int(word) if word.isdigit() else _VALUES[word]
    return total + current


def number_in(text: str) -> int:
    """The first number that a text names. Raises `NoNumber`."""
    for number in numbers_in(text):
        return number
    raise NoNumber(text)


def count_to(text: str) -> str:
    """ "One, two, …" up to the last number that a text names, 100 at most.

    Raises `NoNumber`, for zero too.
    """
    last = min(next(reversed(numbers_in(text)), 0), _FAR)
    if last == 0:
        raise NoNumber(text)
    return f"{', '.join(map(in_words, range(1, last + 1))).capitalize()}."


def sum_of(text: str) -> str:
    """The first sum in a text and its result: "Three plus four is seven.".

    Raises `NoNumber` where there is none.
    """
    found = _SUM.search(text)
    if found is None:
        raise NoNumber(text)
    a, b = _value(found["a"]), _value(found["b"])
    sign = found["sign"].lower()
    sign = _SIGNS.get(sign, sign)
    said = f"{in_words(a)} {sign} {in_words(b)} is".capitalize()
    if sign != "divided by":
        value = {"plus": a + b, "minus": a - b, "times": a * b}[sign]
        return f"{said} {in_words(value)}."
    if b == 0:
        return f"{said} not defined."
    whole, rest = divmod(a, b)
    left = f", and {in_words(rest)} is left" if rest else ""
    return f"{said} {in_words(whole)}{left}."
