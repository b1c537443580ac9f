"""The cost of a session: its tokens at the prices of its model.

Only tokens whose modality and price are certain are in the sum. A sum without the
others says what it is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import inf
from typing import Any, TypeGuard

import attrs

from ..argument_checks import of_session
from ..prices import PRICES, Prices
from ..state.model import Session, Usage, with_known

__all__ = ["Cost", "select_cost"]

_MILLION = 1_000_000
_MODALITIES = ("text", "audio", "image")
_KINDS = ("input", "cached", "output")


@attrs.frozen
class Cost:
    """US dollars: the sum, and its parts by kind of token.

    ``input_…`` is for uncached tokens, ``cached_…`` for cached ones. Input
    transcription is billed separately and not included. ``model`` has the names of all
    models if there were several.

    ``missing`` says why the real cost can be higher: ``usage`` if the service did not
    report the tokens of each ended response in full and without contradiction,
    ``price`` if a model or a kind of token in use has no price.
    """

    model: str
    usd: float
    input_text: float = 0.0
    input_audio: float = 0.0
    input_image: float = 0.0
    cached_text: float = 0.0
    cached_audio: float = 0.0
    cached_image: float = 0.0
    output_text: float = 0.0
    output_audio: float = 0.0
    missing: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether the sum is missing something."""
        return bool(self.missing)


@of_session
def select_cost(session: Session, prices: Prices | None = None) -> Cost | None:
    """The cost of the responses so far, by the built-in price table or ``prices``.

    A table holds US dollars per million tokens, by model, modality and kind. The value
    of a model can also be the name of another model with the same prices::

        {
            "my-model": {
                "text": {"input": 4.0, "cached": 0.4, "output": 16.0},
                "audio": {"input": 32.0, "cached": 0.4, "output": 64.0},
                "image": {"input": 5.0, "cached": 0.5},
            },
            "my-model-2026-11-01": "my-model",
        }

    The cost is partial if a part of it is unknown (`Cost.missing`), and None if all of
    it is: nothing in use has a price, no ended response has usable token counts, or the
    model is unknown. Raises ValueError for an invalid table.
    """
    table = PRICES if prices is None else prices
    if prices is not None:
        _check(prices)
    usage = with_known(session)
    # What was used before the service named its model belongs to that model, unless
    # the session had several.
    known = usage.known or {"": Usage()}
    unnamed = session.model if {"", session.model}.issuperset(known) else None
    missing = {"usage"} if usage.incomplete else set[str]()
    parts: dict[str, Fraction] = {}
    for name, tokens in known.items():
        price = _price(name or unnamed, table)
        for part, count in _tokens(tokens).items():
            kind, modality = part.split("_")
            rate = (price or {}).get(modality, {}).get(kind)
            if rate is not None and count:
                parts[part] = parts.get(part, Fraction()) + count * _exact(rate)
            elif count or price is None:
                missing.add("price")
    if not parts and missing:
        return None
    models = dict.fromkeys(name or unnamed for name in sorted(known))
    return Cost(
        ", ".join(filter(None, models)),
        float(sum(parts.values())),
        **{part: float(dollars) for part, dollars in parts.items()},
        missing=tuple(sorted(missing)),
    )


def _exact(rate: float) -> Fraction:
    """The price of one token; the decimal digits of the rate are exact."""
    return Fraction(repr(float(rate))) / _MILLION


def _check(prices: Any) -> None:
    """Raise ValueError, with the location, unless this is a table of prices."""
    for model, price in _members(prices, "prices", None):
        if isinstance(price, str):
            continue
        for modality, rates in _members(price, model, _MODALITIES):
            for kind, rate in _members(rates, f"{model}.{modality}", _KINDS):
                if not isinstance(rate, int | float) or not 0 <= rate < inf:
                    where = f"{model}.{modality}.{kind}"
                    raise ValueError(f"prices: {where} is {rate!r}, not US dollars")


def _members(
    value: Any, where: str, names: tuple[str, ...] | None
) -> Iterator[tuple[str, Any]]:
    if not _is_mapping(value):
        raise ValueError(f"prices: {where} is {value!r}, not a mapping")
    for name, member in value.items():
        if not isinstance(name, str) or (names is not None and name not in names):
            allowed = "a model" if names is None else f"one of {', '.join(names)}"
            raise ValueError(f"prices: {where} has {name!r}, not {allowed}")
        yield name, member


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _price(
    model: str | None, prices: Prices
) -> Mapping[str, Mapping[str, float]] | None:
    price = prices.get(model) if model else None
    if isinstance(price, str):
        price = prices.get(price)
    return None if isinstance(price, str) else price


def _tokens(usage: Usage) -> dict[str, int]:
    """Tokens by kind and modality. The input counts include the cached tokens."""
    return {
        "input_text": usage.input_text - usage.cached_text,
        "input_audio": usage.input_audio - usage.cached_audio,
        "input_image": usage.input_image - usage.cached_image,
        "cached_text": usage.cached_text,
        "cached_audio": usage.cached_audio,
        "cached_image": usage.cached_image,
        "output_text": usage.output_text,
        "output_audio": usage.output_audio,
    }
