"""What a session cost: its tokens at the prices of its model.

There is a figure only where it is sure. A model without a price, tokens of a modality
without one, and usage that does not add up give none.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum

import attrs

from .prices import PRICES, Prices
from .state import Session, Usage

__all__ = ["Cost", "select_cost"]

_MILLION = 1_000_000


@attrs.frozen
class Cost:
    """US dollars: the sum, and its parts by kind of token.

    ``input_…`` are the tokens that were not cached, ``cached_…`` those that were.
    What wrote down the user's words is billed apart, and is not in it.
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


def select_cost(session: Session, prices: Prices | None = None) -> Cost | None:
    """What the responses so far cost, by our own table or by ``prices``.

    None where that is not known: see `prices` for what a table says.
    """
    model = getattr(session.connection.confirmed, "model", None)
    if not isinstance(model, str):
        return None
    price = _price(model, PRICES if prices is None else prices)
    tokens = _tokens(session.ledger.usage)
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


def _price(model: str, prices: Prices) -> Mapping[str, Mapping[str, float]] | None:
    price = prices.get(model)
    if isinstance(price, str):
        price = prices.get(price)
    return None if isinstance(price, str) else price


def _tokens(usage: Usage) -> dict[tuple[str, str], int] | None:
    """Tokens by what they are billed as; None where they do not add up.

    The cached ones are a part of the input. Where the sum is not the total, somebody
    did not say what the tokens are.
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
