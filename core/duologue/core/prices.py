"""The prices of models: data alone. `pricing` reads it.

USD per million tokens, as the provider's model pages said
(developers.openai.com/api/docs/models/…), read in stored copies of which the dates are
unknown: **not checked live**. Prices change, and another service that calls its model
the same has others: an application that bills by them gives `select_cost` a table of
its own, in this same shape, which may come from JSON.

A model that is not here has no price, and neither has a modality that is not named
for a model. A dated snapshot has the price of its model only where a line says so: its
value is then the name of that model.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["AS_OF", "PRICES", "Prices"]

#: By model: by modality (``text``, ``audio``, ``image``) the price of ``input``,
#: ``cached`` and ``output`` tokens, or the name of the model that costs the same.
Prices = Mapping[str, Mapping[str, Mapping[str, float]] | str]

#: When this table was last looked at.
AS_OF = "2026-11"

#: US dollars for a million tokens, by model and kind of token.
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
}
