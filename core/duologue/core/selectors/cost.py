"""The cost of a session: its tokens at the prices of its model.

The cost is None unless it is certain: every model and modality in use must have a
price, and the token counts must add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import fsum, inf
from typing import Any, TypeGuard

import attrs

from ..argument_checks import of_session
from ..events.config import RealtimeSessionConfig
from ..prices import PRICES, Prices
from ..state.model import Session, Usage

__all__ = ["Cost", "select_cost"]

_MILLION = 1_000_000
_MODALITIES = ("text", "audio", "image")
_KINDS = ("input", "cached", "output")


@attrs.frozen
class Cost:
    """US dollars: the sum, and its parts by kind of token.

    ``input_…`` is for uncached tokens, ``cached_…`` for cached ones. Input
    transcription is billed separately and not included.
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

    None if the cost is unknown: a model, modality or kind in use has no price, or the
    token counts do not add up. Raises ValueError for an invalid table.
    """
    if prices is not None:
        _check(prices)
    config = session.connection.confirmed
    if not isinstance(config, RealtimeSessionConfig):
        return None
    model = config.model
    if not isinstance(model, str):
        return None
    price = _price(model, PRICES if prices is None else prices)
    tokens = _tokens(session.usage.tokens)
    if price is None or tokens is None:
        return None
    parts: dict[str, float] = {}
    for (kind, modality), count in tokens.items():
        if not count:
            continue
        rate = price.get(modality, {}).get(kind)
        if rate is None:
            return None
        parts[f"{kind}_{modality}"] = count * rate / _MILLION
    return Cost(model, fsum(parts.values()), **parts)


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


def _price(model: str, prices: Prices) -> Mapping[str, Mapping[str, float]] | None:
    price = prices.get(model)
    if isinstance(price, str):
        price = prices.get(price)
    return None if isinstance(price, str) else price


def _tokens(usage: Usage) -> dict[tuple[str, str], int] | None:
    """Tokens by kind and modality; None if they do not add up to the total.

    The service includes cached tokens in the input counts.
    """
    tokens = {
        ("input", "text"): usage.input_text - usage.cached_text,
        ("input", "audio"): usage.input_audio - usage.cached_audio,
        ("input", "image"): usage.input_image - usage.cached_image,
        ("cached", "text"): usage.cached_text,
        ("cached", "audio"): usage.cached_audio,
        ("cached", "image"): usage.cached_image,
        ("output", "text"): usage.output_text,
        ("output", "audio"): usage.output_audio,
    }
    if min(tokens.values()) < 0 or sum(tokens.values()) != usage.total:
        return None
    return tokens
