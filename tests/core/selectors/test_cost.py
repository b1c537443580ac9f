"""The cost of a session is exact, or None."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import Session
from duologue.core.events import RealtimeSessionConfig, TranscriptionSessionConfig
from duologue.core.prices import AS_OF, PRICES, Prices
from duologue.core.selectors.cost import Cost, select_cost
from duologue.core.state.model import Connection, SessionUsage, Usage

#: The tokens to which a price applies.
MILLION = 1_000_000
TABLE: Prices = {
    "m": {
        "text": {"input": 4.0, "cached": 1.0, "output": 16.0},
        "audio": {"input": 32.0, "cached": 2.0, "output": 64.0},
        "image": {"input": 5.0, "cached": 3.0},
    },
    "m-2026-01-01": "m",
    "far": "m-2026-01-01",
    "lost": "nowhere",
    "dumb": {"audio": {"input": 32.0, "output": 64.0}},
}


def session(model: Any = "m", **tokens: int) -> Session:
    """A session with this model and these tokens; the default total is their sum."""
    total = sum(n for kind, n in tokens.items() if not kind.startswith("cached"))
    return Session(
        "s",
        connection=Connection(confirmed=RealtimeSessionConfig(model=model)),
        usage=SessionUsage(Usage(**{"total": total, **tokens})),
    )


counts = st.integers(0, 10**9)


@st.composite
def usages(draw: st.DrawFn) -> dict[str, int]:
    """Usage with tokens of every kind; cached tokens are part of the input."""
    used: dict[str, int] = {}
    for modality in ("text", "audio", "image"):
        used[f"input_{modality}"] = draw(counts)
        used[f"cached_{modality}"] = draw(st.integers(0, used[f"input_{modality}"]))
    return {**used, "output_text": draw(counts), "output_audio": draw(counts)}


@given(usages())
def test_every_token_is_billed_once(used: dict[str, int]) -> None:
    """Cached tokens are billed at the cached rate, other input at the input rate."""
    rates = TABLE["m"]
    assert not isinstance(rates, str)
    expected = Fraction(0)
    for modality in ("text", "audio", "image"):
        given, cached = used[f"input_{modality}"], used[f"cached_{modality}"]
        expected += (given - cached) * Fraction(rates[modality]["input"])
        expected += cached * Fraction(rates[modality]["cached"])
    expected += used["output_text"] * 16 + used["output_audio"] * 64
    cost = select_cost(session(**used), TABLE)
    assert cost is not None
    parts = [value for value in attrs.astuple(cost)[2:]]

    assert float(expected / MILLION) == pytest.approx(cost.usd, rel=1e-12)
    assert sum(parts) == pytest.approx(cost.usd, rel=1e-12)
    assert all(part >= 0 for part in parts)


@given(usages(), st.sampled_from(["text", "audio", "image"]), st.data())
def test_the_cache_never_costs_more(
    used: dict[str, int], modality: str, data: st.DataObject
) -> None:
    """More cached tokens never raise the cost."""
    name = f"cached_{modality}"
    more = data.draw(st.integers(used[name], used[f"input_{modality}"]))
    once = select_cost(session(**used), TABLE)
    again = select_cost(session(**{**used, name: more}), TABLE)
    assert once is not None
    assert again is not None

    assert again.usd <= once.usd * (1 + 1e-12)


def test_a_bill() -> None:
    """The cost has the dollars for each kind of token."""
    used = session(
        input_text=3 * MILLION,
        cached_text=MILLION,
        input_audio=2 * MILLION,
        cached_audio=2 * MILLION,
        input_image=MILLION,
        output_text=MILLION,
        output_audio=MILLION // 2,
    )

    assert select_cost(used, TABLE) == Cost(
        model="m",
        usd=8.0 + 1.0 + 4.0 + 5.0 + 16.0 + 32.0,
        input_text=8.0,
        input_image=5.0,
        cached_text=1.0,
        cached_audio=4.0,
        output_text=16.0,
        output_audio=32.0,
    )


def test_nothing_used_costs_nothing() -> None:
    """Without usage, the cost of a known model is 0."""
    assert select_cost(session("gpt-realtime")) == Cost("gpt-realtime", 0.0)


@pytest.mark.parametrize("model", ["gpt-next", "gpt-realtime-2099-01-01", "M", "m "])
def test_an_unknown_model_has_no_price(model: str) -> None:
    """An unknown model has no cost, even if its name is similar to a known one."""
    assert select_cost(session(model, input_text=1)) is None
    assert select_cost(session(model, input_text=1), TABLE) is None


def test_a_snapshot_costs_what_the_table_says() -> None:
    """A model with the name of another has its prices, but not over two steps."""
    dated = select_cost(session("m-2026-01-01", input_text=MILLION), TABLE)

    assert dated == Cost("m-2026-01-01", 4.0, input_text=4.0)
    assert select_cost(session("far", input_text=MILLION), TABLE) is None
    assert select_cost(session("lost", input_text=MILLION), TABLE) is None


@pytest.mark.parametrize(
    "used",
    [
        {"input_text": 1},
        {"output_text": 1},
        {"input_image": 1},
        {"input_audio": 2, "cached_audio": 1},
    ],
)
def test_tokens_without_a_price(used: dict[str, int]) -> None:
    """If one kind of token has no price, the cost is unknown."""
    assert select_cost(session("dumb", **used), TABLE) is None
    priced = select_cost(session("dumb", input_audio=MILLION), TABLE)
    assert priced == Cost("dumb", 32.0, input_audio=32.0)


@pytest.mark.parametrize(
    "used",
    [
        {"input_text": 1, "cached_text": 2},
        {"input_text": 5, "total": 9},
        {"total": 3},
        {"input_text": 9, "total": 5},
    ],
)
def test_usage_that_does_not_add_up(used: dict[str, int]) -> None:
    """If the parts do not add up to the total, the cost is unknown."""
    assert select_cost(session("m", **used), TABLE) is None


@pytest.mark.parametrize("model", [msgspec.UNSET, None])
def test_a_session_without_a_model(model: Any) -> None:
    """Without a model, the cost is unknown."""
    assert select_cost(session(model)) is None
    assert select_cost(Session("s")) is None


def test_a_session_that_only_transcribes() -> None:
    """The cost of a transcription session is unknown."""
    confirmed = TranscriptionSessionConfig()
    bare = Session("s", connection=Connection(confirmed=confirmed))

    assert select_cost(bare) is None


def test_a_table_of_the_user() -> None:
    """A given table replaces the built-in one, and may be plain JSON."""
    table = msgspec.json.decode(msgspec.json.encode(TABLE))

    assert select_cost(session("gpt-realtime", input_text=1), table) is None
    assert select_cost(session("m", input_text=MILLION), table) == Cost(
        "m", 4.0, input_text=4.0
    )
    assert select_cost(session("gpt-realtime", input_text=1), {}) is None


@pytest.mark.parametrize("model", PRICES)
def test_the_built_in_table_is_consistent(model: str) -> None:
    """Every rate is positive, and the cached rate is the lowest of its modality."""
    price = PRICES[model]
    if isinstance(price, str):
        price = PRICES[price]
    assert not isinstance(price, str)
    assert {"text", "audio"} <= set(price) <= {"text", "audio", "image"}
    for modality, rates in price.items():
        kinds = {"input", "cached"} | ({"output"} if modality != "image" else set())
        assert kinds == set(rates)
        assert 0 < rates["cached"] < rates["input"]
        assert rates.get("output", 1e9) > rates["input"]


def test_the_built_in_table_has_a_date() -> None:
    """The table has the month or the day of its prices."""
    assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", AS_OF)


def test_a_known_model() -> None:
    """Rates are US dollars per million tokens."""
    used = session("gpt-realtime", input_audio=MILLION, cached_audio=MILLION // 2)

    assert select_cost(used) == Cost(
        "gpt-realtime", 16.2, input_audio=16.0, cached_audio=0.2
    )


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ([], r"prices: prices is \[\], not a mapping"),
        ({7: {}}, "prices: prices has 7, not a model"),
        ({"m": 4.0}, "prices: m is 4.0, not a mapping"),
        ({"m": {"input": 4.0}}, "m has 'input', not one of text, audio, image"),
        ({"m": {"text": 4.0}}, "prices: m.text is 4.0, not a mapping"),
        ({"m": {"text": {"in": 1}}}, "m.text has 'in', not one of input, cached, out"),
        ({"m": {"text": {"input": "4"}}}, "m.text.input is '4', not US dollars"),
        ({"m": {"text": {"input": -1}}}, "m.text.input is -1, not US dollars"),
        ({"m": {"text": {"input": float("nan")}}}, "m.text.input is nan, not US doll"),
    ],
)
def test_a_table_of_another_shape_is_refused(table: Any, what: str) -> None:
    """The error names the invalid entry, even if the session does not use it."""
    with pytest.raises(ValueError, match=what):
        select_cost(session(), table)
    with pytest.raises(ValueError, match=what):
        select_cost(Session("s"), table)
    assert select_cost(session(input_text=1), {"m": {"text": {"input": 0}}}) is not None
