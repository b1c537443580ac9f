"""Numbers in English words: reading, writing, counting and arithmetic."""

from __future__ import annotations

import re

__all__ = ["NoNumber", "count_to", "in_words", "number_in", "numbers_in", "sum_of"]

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
    *("seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SIZES = {10 * tens: word for tens, word in enumerate(_TENS, 2)}
_SIZES |= {100: "hundred", 1_000: "thousand"}
_VALUES = {word: value for value, word in (*enumerate(_UNITS), *_SIZES.items())}
_SIZES[1_000_000] = "million"  # written, not read
#: A whole number: no part of 2.5 or of 1,000 matches.
_DIGITS = r"(?<!\d[.,])\d{1,6}(?![.,]?\d)"
_ANY = "|".join((*sorted(_VALUES, key=len, reverse=True), _DIGITS))
_FLAGS = re.IGNORECASE | re.ASCII
_NUMBER = re.compile(rf"\b(?:{_ANY})(?:[ -]+(?:{_ANY}))*\b", _FLAGS)
_OPERATORS = {word: word for word in ("plus", "minus", "times", "divided by")}
_OPERATORS |= {"+": "plus", "-": "minus", "*": "times", "x": "times"}
_OPERATORS |= {"multiplied by": "times", "/": "divided by"}
_OPERATOR = "|".join(map(re.escape, _OPERATORS))
_SUM = re.compile(rf"({_NUMBER.pattern})\s*({_OPERATOR})\s*({_NUMBER.pattern})", _FLAGS)
_COUNT_LIMIT = 100


class NoNumber(ValueError):
    """The text contains no number, or no sum."""


def in_words(number: int) -> str:
    """A whole number in words, such as "minus one hundred two"."""
    if number < 0:
        return f"minus {in_words(-number)}"
    if number < len(_UNITS):
        return _UNITS[number]
    size = max(each for each in _SIZES if each <= number)
    words = _SIZES[size] if size < 100 else f"{in_words(number // size)} {_SIZES[size]}"
    return f"{words} {in_words(number % size)}" if number % size else words


def numbers_in(text: str) -> list[int]:
    """All numbers in a text, in words or digits."""
    return [_value(found[0]) for found in _NUMBER.finditer(text)]


def _value(words: str) -> int:
    total = current = 0
    for word in re.split("[ -]+", words.lower()):
        if word == "thousand":
            total, current = total + max(1, current) * 1_000, 0
        elif word == "hundred":
            current = max(1, current) * 100
        else:
            current += int(word) if word.isdigit() else _VALUES[word]
    return total + current


def number_in(text: str) -> int:
    """The first number in a text. Raises `NoNumber`."""
    for number in numbers_in(text):
        return number
    raise NoNumber(text)


def count_to(text: str) -> str:
    """ "One, two, …" up to the last number in a text, 100 at most.

    Raises `NoNumber` if the text contains no number, or if the number is zero.
    """
    last = min(next(reversed(numbers_in(text)), 0), _COUNT_LIMIT)
    if last == 0:
        raise NoNumber(text)
    return f"{', '.join(map(in_words, range(1, last + 1))).capitalize()}."


def sum_of(text: str) -> str:
    """The first sum in a text, with its result: "Three plus four is seven.".

    Raises `NoNumber` if the text contains no sum.
    """
    found = _SUM.search(text)
    if found is None:
        raise NoNumber(text)
    a, b = _value(found[1]), _value(found[3])
    operator = _OPERATORS[found[2].lower()]
    if operator != "divided by":
        result = in_words({"plus": a + b, "minus": a - b, "times": a * b}[operator])
    elif b == 0:
        result = "not defined"
    else:
        rest = f", and {in_words(a % b)} is left" if a % b else ""
        result = f"{in_words(a // b)}{rest}"
    return f"{in_words(a)} {operator} {in_words(b)} is {result}.".capitalize()
