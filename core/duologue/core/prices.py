"""The table of prices that `select_cost` uses by default.

USD per million tokens, from stored copies of the provider's model pages
(developers.openai.com/api/docs/models/…) of unknown dates: **not checked live**. Prices
change, and another service may charge other prices for a model of the same name. If
you bill by these prices, pass your own table to `select_cost`, in the same shape; it
may come from JSON.

A model or modality that is not listed has no price. A dated snapshot of a model needs
an entry too, because snapshots of one model can have different prices: its value is the
name of the model with the same prices. The ``gpt-audio`` models have no price for
cached tokens, and the page of ``gpt-audio-mini`` has none for audio.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["AS_OF", "PRICES", "Prices"]

#: By model, then by modality (``text``, ``audio``, ``image``): the prices of ``input``,
#: ``cached`` and ``output`` tokens; or the name of the model with the same prices.
Prices = Mapping[str, Mapping[str, Mapping[str, float]] | str]

#: When this table was last checked.
AS_OF = "2026-11"

#: USD per million tokens, by model and kind of token.
PRICES: Prices = {
    "gpt-realtime-2.1": {
        "text": {"input": 4.00, "cached": 0.40, "output": 24.00},
        "audio": {"input": 32.00, "cached": 0.40, "output": 64.00},
        "image": {"input": 5.00, "cached": 0.50},
    },
    "gpt-realtime-2.1-mini": {
        "text": {"input": 0.60, "cached": 0.06, "output": 2.40},
        "audio": {"input": 10.00, "cached": 0.30, "output": 20.00},
        "image": {"input": 0.80, "cached": 0.08},
    },
    "gpt-realtime-2": {
        "text": {"input": 4.00, "cached": 0.40, "output": 24.00},
        "audio": {"input": 32.00, "cached": 0.40, "output": 64.00},
        "image": {"input": 5.00, "cached": 0.50},
    },
    "gpt-realtime-1.5": {
        "text": {"input": 4.00, "cached": 0.40, "output": 16.00},
        "audio": {"input": 32.00, "cached": 0.40, "output": 64.00},
        "image": {"input": 5.00, "cached": 0.50},
    },
    "gpt-realtime": {
        "text": {"input": 4.00, "cached": 0.40, "output": 16.00},
        "audio": {"input": 32.00, "cached": 0.40, "output": 64.00},
        "image": {"input": 5.00, "cached": 0.50},
    },
    "gpt-realtime-mini": {
        "text": {"input": 0.60, "cached": 0.06, "output": 2.40},
        "audio": {"input": 10.00, "cached": 0.30, "output": 20.00},
    },
    "gpt-audio": {
        "text": {"input": 2.50, "output": 10.00},
        "audio": {"input": 32.00, "output": 64.00},
    },
    "gpt-audio-mini": {"text": {"input": 0.60, "output": 2.40}},
    "gpt-realtime-2025-08-28": "gpt-realtime",
    "gpt-realtime-mini-2025-10-06": "gpt-realtime-mini",
    "gpt-realtime-mini-2025-12-15": "gpt-realtime-mini",
    "gpt-audio-2025-08-28": "gpt-audio",
    "gpt-audio-mini-2025-10-06": "gpt-audio-mini",
    "gpt-audio-mini-2025-12-15": "gpt-audio-mini",
}
