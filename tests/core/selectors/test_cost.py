"""The cost of a session is exact; a partial one says so; an unknown one is None."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import Session, select_usage
from duologue.core.events import RealtimeSessionConfig, TranscriptionSessionConfig
from duologue.core.prices import AS_OF, PRICES, Prices
from duologue.core.selectors.cost import Cost, select_cost
from duologue.core.state.model import Connection, SessionUsage, Usage

from ..strategies import enough
from ..talk import Frame, fold_frames

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
    parts = [value for value in attrs.astuple(cost)[2:-1]]
    assert not cost.is_partial

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
        {"input_audio": 1, "cached_audio": 1},
    ],
)
def test_tokens_without_a_price(used: dict[str, int]) -> None:
    """A kind of token without a price makes the cost partial; alone, unknown."""
    assert select_cost(session("dumb", **used), TABLE) is None
    both = Cost("dumb", 64.0, output_audio=64.0, missing=("price",))
    assert select_cost(session("dumb", **used, output_audio=MILLION), TABLE) == both
    assert both.is_partial
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
    """Every rate is positive, and the cached rate is the lowest of its modality.

    Models that are not of the Realtime API have no cached rate.
    """
    price = PRICES[model]
    if isinstance(price, str):
        price = PRICES[price]
    assert not isinstance(price, str)
    cached = set[str]() if "gpt-audio" in model else {"cached"}
    least = {"text", "audio"} if cached else {"text"}
    assert least <= set(price) <= {"text", "audio", "image"}
    for modality, rates in price.items():
        kinds = {"input", *cached} | ({"output"} if modality != "image" else set())
        assert kinds == set(rates)
        assert 0 < rates.get("cached", 1e-9) < rates["input"]
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


def used(text: int = 0, audio: int = 0, image: int = 0, **more: Any) -> Frame:
    """The usage of a response with this input; ``out`` is its text and its audio."""
    out = more.pop("out", (0, 0))
    given = {"text_tokens": text, "audio_tokens": audio, "image_tokens": image}
    return {
        "total_tokens": text + audio + image + sum(out),
        "input_tokens": text + audio + image,
        "output_tokens": sum(out),
        "input_token_details": {**given, **more},
        "output_token_details": {"text_tokens": out[0], "audio_tokens": out[1]},
    }


def cached(text: int, audio: int, image: int) -> Frame:
    split = {"text_tokens": text, "audio_tokens": audio, "image_tokens": image}
    return {
        "cached_tokens": text + audio + image,
        "cached_tokens_details": split,
    }


def model_is(name: str | None, type: str = "session.created") -> Frame:
    return {"type": type, "session": {"type": "realtime", "model": name}}


def done(response_id: str, usage: Any = None, **response: Any) -> Frame:
    wire = {"id": response_id, "status": "completed", "usage": usage, **response}
    return {"type": "response.done", "response": wire}


#: By model: the usage of a response, and its cost in USD, worked by hand from the
#: prices of that model, per million tokens.
BY_HAND = [
    # 57 * 4 + 256 * 0.4 + 20 * 16 + 80 * 64 = 228 + 102.4 + 320 + 5120
    ("gpt-realtime", used(313, out=(20, 80), **cached(256, 0, 0)), 0.0057704),
    # 10 * 4 + 90 * 32 + 10 * 5 + 10 * 0.4 + 10 * 0.4 + 5 * 0.5 + 1 * 16 + 2 * 64
    # = 40 + 2880 + 50 + 4 + 4 + 2.5 + 16 + 128
    ("gpt-realtime", used(20, 100, 15, out=(1, 2), **cached(10, 10, 5)), 0.0031245),
    ("gpt-realtime-2025-08-28", used(1, out=(1, 0)), 0.00002),
    # 7 * 0.6 + 3 * 0.06 + 11 * 10 + 2 * 0.3 + 5 * 2.4 + 9 * 20
    # = 4.2 + 0.18 + 110 + 0.6 + 12 + 180
    ("gpt-realtime-mini", used(10, 13, out=(5, 9), **cached(3, 2, 0)), 0.00030698),
    ("gpt-realtime-mini-2025-10-06", used(1), 6e-7),
    ("gpt-realtime-mini-2025-12-15", used(0, 1), 1e-5),
    # 1 * 4 + 1 * 24 + 3 * 64 = 220
    ("gpt-realtime-2.1", used(1, out=(1, 3)), 0.00022),
    # 3 * 0.8 + 1 * 0.08 + 1 * 2.4 = 4.88
    ("gpt-realtime-2.1-mini", used(0, 0, 4, out=(1, 0), **cached(0, 0, 1)), 0.00000488),
    # 3 * 2.5 + 2 * 32 + 1 * 10 + 1 * 64 = 145.5
    ("gpt-audio", used(3, 2, out=(1, 1)), 0.0001455),
    ("gpt-audio-2025-08-28", used(3), 0.0000075),
    ("gpt-audio-mini-2025-12-15", used(3, out=(1, 0)), 0.0000042),
]


@pytest.mark.parametrize(("model", "usage", "usd"), BY_HAND)
def test_a_response_costs_what_it_costs_by_hand(
    model: str, usage: Frame, usd: float
) -> None:
    """The cost is exact to the last digit."""
    cost = select_cost(fold_frames(model_is(model), done("r", usage)))

    assert cost is not None
    assert (cost.model, cost.usd, cost.missing) == (model, usd, ())


@pytest.mark.parametrize(
    ("split", "usd"),
    [
        # 36 * 4 + 64 * 0.4 = 169.6
        (used(100, cached_tokens=64), 0.0001696),
        (used(100, cached_tokens=100), 0.00004),
        (used(100, 50, cached_tokens=0), 0.002),
        (used(100, 50, cached_tokens=150), 0.00006),
        (used(100, 50), 0.002),
        # 90 * 4 + 10 * 0.4 + 46 * 32 + 4 * 0.4 = 360 + 4 + 1472 + 1.6
        (
            used(
                *(100, 50),
                cached_tokens=14,
                cached_tokens_details={"text_tokens": 10},
            ),
            0.0018376,
        ),
        (
            used(
                *(100, 50),
                cached_tokens_details={"text_tokens": 10, "audio_tokens": 4},
            ),
            0.0018376,
        ),
    ],
)
def test_cached_tokens_that_can_only_be_of_one_division(
    split: Frame, usd: float
) -> None:
    """Cached tokens without modalities are certain if only one division is possible."""
    cost = select_cost(fold_frames(model_is("gpt-realtime"), done("r", split)))

    assert cost is not None
    assert (cost.usd, cost.missing) == (usd, ())


MISSING = ("usage",)
OUT = {"output_tokens": 10, "output_token_details": {"text_tokens": 10}}


@pytest.mark.parametrize(
    "given",
    [
        used(100, 50, cached_tokens=64),
        used(20, **cached(25, 0, 0)),
        used(20, **{**cached(10, 0, 0), "cached_tokens": 5}),
        used(20, cached_tokens=25),
        used(20, **{**cached(0, 0, 0), "cached_tokens": 5}),
        used(100, 50, cached_tokens=-64),
        used(100, cached_tokens="64"),
        used(100, cached_tokens=6.5),
        {**used(100), "input_tokens": 90},
        {**used(100), "input_token_details": None},
        {**used(100), "input_token_details": {"text_tokens": 90}},
        {**used(100), "input_token_details": {"text_tokens": -1, "audio_tokens": 101}},
        {"input_tokens": None, "input_token_details": None},
    ],
)
def test_an_input_that_is_uncertain(given: Frame) -> None:
    """If the modalities of the input are uncertain, only the output is in the cost."""
    usage = {**given, **OUT, "total_tokens": None}
    cost = select_cost(fold_frames(model_is("gpt-realtime"), done("r", usage)))

    assert cost == Cost("gpt-realtime", 0.00016, output_text=0.00016, missing=MISSING)


@pytest.mark.parametrize(
    ("total", "out", "modalities", "usd", "missing"),
    [
        (110, {"output_tokens": 10}, ["text"], 0.00056, ()),
        (110, {}, ["text"], 0.00056, ()),
        (100, {"output_tokens": 0}, ["audio"], 0.0004, ()),
        (100, {}, None, 0.0004, ()),
        (110, {"output_token_details": {"text_tokens": 10}}, ["audio"], 0.00056, ()),
        (110, {"output_tokens": 10}, ["audio"], 0.0004, MISSING),
        (110, {"output_tokens": 10}, None, 0.0004, MISSING),
        (None, {}, ["text"], 0.0004, MISSING),
        (None, {"output_tokens": -1}, ["text"], 0.0004, MISSING),
        (110, {"output_token_details": {"text_tokens": "10"}}, ["text"], None, ()),
        (110, {"output_token_details": {"text_tokens": 3}}, ["text"], None, ()),
        (90, {}, ["text"], None, ()),
        (-1, {"output_tokens": 10}, ["text"], None, ()),
        ("110", {"output_tokens": 10}, ["text"], None, ()),
    ],
)
def test_an_output_without_modalities(
    total: Any, out: Frame, modalities: Any, usd: float | None, missing: Any
) -> None:
    """It is text if the response can only have text. A sum follows from the others.

    If the total contradicts the sums, nothing is certain.
    """
    details = {"text_tokens": 100}
    usage = {
        "total_tokens": total,
        "input_tokens": 100,
        "input_token_details": details,
        **out,
    }
    response = done("r", usage, output_modalities=modalities)
    cost = select_cost(fold_frames(model_is("gpt-realtime"), response))

    found = cost and (cost.usd, cost.missing)
    assert found == (None if usd is None else (usd, missing))


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed", "incomplete"])
@pytest.mark.parametrize("usage", [None, {}, {"total_tokens": None}, {"total": 5}])
def test_a_service_that_reports_no_usage(status: str, usage: Any) -> None:
    """A response that ended without usage has a cost, but it is unknown."""
    ended = done("r", usage, status=status)

    assert select_cost(fold_frames(model_is("gpt-realtime"), ended)) is None


def test_what_is_unknown_does_not_change_what_is_known() -> None:
    """A response without usage makes the cost partial; the rest of it stays."""
    one = done("a", used(100, out=(10, 0)))
    alone = select_cost(fold_frames(model_is("gpt-realtime"), one))
    more = select_cost(fold_frames(model_is("gpt-realtime"), one, done("b")))

    assert alone is not None
    assert more == attrs.evolve(alone, missing=("usage",))


def test_a_response_that_the_connection_did_not_survive() -> None:
    """Its usage is unknown, so the cost is partial."""
    frames = (
        model_is("gpt-realtime"),
        done("a", used(100)),
        {"type": "response.created", "response": {"id": "b"}},
        {"type": "duologue.disconnected"},
    )
    cost = select_cost(fold_frames(*frames))

    assert cost == Cost("gpt-realtime", 0.0004, 0.0004, missing=("usage",))


def test_a_response_out_of_band_or_cancelled_costs_too() -> None:
    """Its usage counts as that of any response."""
    frames = (
        model_is("gpt-realtime"),
        done("a", used(100), conversation_id=None),
        done("b", used(100), status="cancelled"),
    )

    assert select_cost(fold_frames(*frames)) == Cost("gpt-realtime", 0.0008, 0.0008)


def test_usage_that_comes_late_is_counted() -> None:
    """A second `response.done` adds the usage that the first did not have."""
    frames = [model_is("gpt-realtime"), done("a"), done("a", used(100))]

    assert select_cost(fold_frames(*frames)) == Cost("gpt-realtime", 0.0004, 0.0004)
    again = fold_frames(*frames, done("a"), done("a", used(100)))
    assert select_cost(again) == Cost("gpt-realtime", 0.0004, 0.0004)
    assert select_usage(again).total == 100


def test_usage_that_the_service_contradicts() -> None:
    """Of two different usages of one response, only what is in both is certain."""
    one, other = used(100, out=(10, 0)), used(90, out=(20, 0))
    expected = Cost(
        "gpt-realtime", 0.00052, 0.00036, output_text=0.00016, missing=MISSING
    )
    for usages in ((one, other), (other, one), (one, other, one), (one, one, other)):
        frames = (done("a", usage) for usage in usages)
        cost = select_cost(fold_frames(model_is("gpt-realtime"), *frames))
        assert cost == expected


def test_a_session_that_changes_its_model() -> None:
    """Each response has the price of the model that the session had at its start."""
    frames = (
        model_is("gpt-realtime"),
        done("a", used(100)),
        {"type": "response.created", "response": {"id": "b"}},
        model_is("gpt-realtime-mini", "session.updated"),
        done("b", used(100)),
        done("c", used(100)),
    )
    cost = select_cost(fold_frames(*frames))

    # 200 * 4 + 100 * 0.6
    assert cost == Cost("gpt-realtime, gpt-realtime-mini", 0.00086, 0.00086)


def test_one_of_two_models_has_no_price() -> None:
    """The cost contains the responses of the other one, and is partial."""
    frames = (
        model_is("gpt-next"),
        done("a", used(100)),
        model_is("gpt-realtime-mini", "session.updated"),
        done("b", used(100)),
    )
    cost = select_cost(fold_frames(*frames))

    assert cost is not None
    assert (cost.usd, cost.missing) == (0.00006, ("price",))
    assert select_cost(fold_frames(*frames[:2])) is None


def test_a_model_that_is_named_later() -> None:
    """Earlier responses are of the model that the service names, if there is one."""
    early, named = done("a", used(100)), model_is("gpt-realtime")
    assert select_cost(fold_frames(early, named)) == Cost(
        "gpt-realtime", 0.0004, 0.0004
    )
    assert select_cost(fold_frames(early)) is None
    frames = early, named, done("b", used(100)), model_is("gpt-realtime-2.1")
    cost = select_cost(fold_frames(*frames))
    assert cost == Cost("gpt-realtime", 0.0004, 0.0004, missing=("price",))


RESPONSES = [
    *(used(100, out=(3, 4)), used(10, 20, 30, **cached(1, 2, 3))),
    *(used(5, 5, cached_tokens=3), used(5, cached_tokens=2), None, {}),
    {"total_tokens": 7},
    {"input_tokens": 9, "output_tokens": -9},
]


@enough
@given(st.lists(st.sampled_from(RESPONSES), max_size=6), st.randoms())
def test_the_cost_is_the_sum_of_its_responses(usages: list[Any], random: Any) -> None:
    """In any order; what is missing from a response is missing from the session."""
    frames = [done(f"r{n}", usage) for n, usage in enumerate(usages)]
    costs = [select_cost(fold_frames(model_is("m"), one), TABLE) for one in frames]
    frames *= 2
    random.shuffle(frames)
    cost = select_cost(fold_frames(model_is("m"), *frames), TABLE)

    exact = sum(Fraction(str(one.usd)) for one in costs if one is not None)
    complete = all(one is not None and not one.is_partial for one in costs)
    if cost is None:
        assert (exact, complete) == (0, False)
    else:
        assert (cost.usd, cost.is_partial) == (float(exact), not complete)
