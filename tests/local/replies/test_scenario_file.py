"""Scenario files: their features, and the errors of invalid files."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.local.interfaces import (
    Call,
    Called,
    Entry,
    Line,
    Prompt,
    ReplyModelError,
    ReplyPart,
    Returned,
    Say,
    Tool,
    Wait,
)
from duologue.local.replies.scenario_file import (
    ScenarioError,
    default_replies,
    load_scenario,
)
from duologue.local.replies.scripted_replies import ScriptedReplies

WEATHER = Tool(
    "get_weather",
    "Look up the weather.",
    json.dumps(
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
        }
    ),
)


async def ask(replies: ScriptedReplies, text: str, **more: object) -> list[ReplyPart]:
    prompt = Prompt("", (Line("user", text),), **more)  # type: ignore[arg-type]
    return [thought async for thought in replies.reply(prompt)]


def replies_of(tmp_path: Path, text: str) -> ScriptedReplies:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return load_scenario(path)


async def test_steps_run_in_the_order_of_the_file(tmp_path: Path) -> None:
    replies = replies_of(
        tmp_path,
        """
        rules:
          - hear: weather in (?P<city>\\w+)
            do:
              - say: Let me see.
              - wait: 0.5
              - call: {name: get_weather, arguments: {city: "{city}", days: 3}}
              - call: [get_time, {name: get_news, arguments: {}}]
        """,
    )
    assert await ask(replies, "the weather in London please") == [
        Say("Let me see."),
        Wait(0.5),
        Call("get_weather", '{"city":"London","days":3}'),
        Call("get_time", "{}"),
        Call("get_news", "{}"),
    ]


async def test_a_scalar_is_a_text_except_where_a_value_is_needed(
    tmp_path: Path,
) -> None:
    replies = replies_of(
        tmp_path,
        """
        rules:
          - hear: 42
            once: yes
            remember: {n: 1.50}
            say: [Yes]
            wait: .5
            call: {name: f, arguments: {n: '3', m: 3, d: 2026-01-02, no: no, x: null}}
        """,
    )
    arguments = '{"n":"3","m":3,"d":"2026-01-02","no":false,"x":null}'
    assert await ask(replies, "42") == [Say("Yes"), Wait(0.5), Call("f", arguments)]


async def test_a_surrogate_pair_is_one_character(tmp_path: Path) -> None:
    """JSON escapes a character above U+FFFF as a pair."""
    replies = replies_of(tmp_path, json.dumps({"rules": [{"say": "😀"}]}))
    assert await ask(replies, "hello") == [Say("😀")]


async def test_a_space_separates_texts(tmp_path: Path) -> None:
    replies = replies_of(
        tmp_path, "rules: [{do: [say: One., say: Two., say: ' Three.']}]"
    )
    assert await ask(replies, "") == [Say("One."), Say(" Two."), Say(" Three.")]


async def test_a_failure_has_a_message_and_a_code(tmp_path: Path) -> None:
    replies = replies_of(
        tmp_path, "rules: [{fail: {message: Not now., code: rate_limit_exceeded}}]"
    )
    with pytest.raises(ReplyModelError, match="Not now") as raised:
        await ask(replies, "hello")
    assert raised.value.code == "rate_limit_exceeded"


async def test_each_session_has_its_own_state(tmp_path: Path) -> None:
    replies = replies_of(
        tmp_path,
        """
        rules:
          - {hear: again, say: [one, two]}
          - {hear: hello, once: true, say: First.}
          - {hear: 'i am (\\w+)', remember: {who: '{1|upper}'}, say: 'Hi, {who}.'}
          - {hear: who, knows: who, say: 'You are {who}.'}
          - {say: Else.}
        """,
    )

    async def say(text: str, session: str = "a") -> str:
        [said] = await ask(replies, text, session=session)
        assert isinstance(said, Say)
        return said.text

    assert [await say("again") for _ in range(3)] == ["one", "two", "one"]
    assert [await say("hello"), await say("hello")] == ["First.", "Else."]
    assert [await say("who am i?"), await say("i am ann")] == ["Else.", "Hi, ANN."]
    assert await say("who am i?") == "You are ANN."
    assert await say("who am i?", "b") == "Else."
    assert await say("hello", "b") == "First."


async def test_a_result_needs_a_rule_with_result(tmp_path: Path) -> None:
    replies = replies_of(
        tmp_path,
        """
        rules:
          - {result: weather, say: 'The weather: {output|plain}.'}
          - {say: Else.}
        """,
    )
    called = Called("c1", "get_weather", "{}")
    lines: tuple[Entry, ...] = (Line("user", "the weather"), called)
    lines += (Returned("c1", '{"sky": "foggy", "degrees": 12}'),)
    given = [each async for each in replies.reply(Prompt("", lines))]
    assert given == [Say("The weather: sky foggy, degrees 12.")]
    assert await ask(replies, "the weather") == [Say("Else.")]


async def test_without_a_rule_the_reply_says_that_it_is_scripted(
    tmp_path: Path,
) -> None:
    [said] = await ask(replies_of(tmp_path, "rules: [{hear: x, say: y}]"), "hello")
    assert isinstance(said, Say)
    assert "scripted" in said.text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1: rules: rules is missing"),
        ("rules: {}", "line 1: rules: Expected a list, got a mapping"),
        ("rule: []", "line 1: rule: there is no such key; there are rules"),
        ("rules:\n- say: a\n  say: b", "line 3: say: is given twice"),
        ("rules:\n- hear: '('\n  say: x", "line 2: hear: not a regular expression"),
        ("rules:\n- hear: x", "line 2: rules: a rule needs one of say, call"),
        (
            "rules:\n- sya: x",
            "line 2: sya: there is no such key; there are call, do, fail, hear, ",
        ),
        ("rules:\n- say: '{name}'", "line 2: say: there is no value {name}"),
        ("rules:\n- say: '{heard|x}'", "line 2: say: there is no filter |x"),
        (
            "rules:\n- say: x\n  wait: soon",
            "line 3: wait: Expected a number, got a text",
        ),
        ("rules:\n- wait: 1000", "line 2: wait: Expected a number <= 600.0"),
        ("rules:\n- call: {arguments: {}}", "line 2: call: name is missing"),
        (
            "rules:\n- call: {nme: f}",
            "line 2: nme: there is no such key; there are arguments, name",
        ),
        (
            "rules:\n- call: [f, {name: f, x: 1}]",
            "line 2: x: there is no such key; there are arguments, name",
        ),
        (
            "rules:\n- once: maybe\n  say: x",
            "line 2: once: Expected true or false, got a text",
        ),
        ("rules:\n- say: [x", "line 2: "),
        ("rules:\n- wait: !!thing 3", "line 2: wait: this value cannot be read"),
        ("rules:\n- wait: 2026-13-45", "line 2: wait: this value cannot be read"),
        ("rules:\n- remember: {[a]: b}", "line 2: remember: a key must be a scalar"),
        ("rules:\n- remember: {a: [b]}\n  say: x", "line 2: remember: Expected a text"),
        (
            "rules:\n- do:\n  - say: x\n    sya: y",
            "line 4: sya: there is no such key; there are call, fail, say, wait",
        ),
        ("rules:\n- do:\n  - say: x\n  - say: '{0}'", "line 4: say: there is no value"),
        ("rules:\n- result: (?P<x>a)\n  say: '{x}'", "line 3: say: there is no value"),
        ("rules:\n- hear: a{99999999999}\n  say: x", "line 2: hear: not a regular"),
        ("rules:\n- 'a - at `$.b': x", "line 2: a - at `$.b: there is no such key"),
        ("rules:\n\t- say: x", "line 2: "),
        ('rules:\n- say: "\\ud800"', "line 2: say: half a surrogate pair"),
        ('rules:\n- say: x\n  "\\ud800": x', "line 3: rules: half a surrogate pair"),
        ("rules:\n- say: '{heard'", "line 2: say: there is an unpaired brace"),
        ("rules:\n- say: 'heard}'", "line 2: say: there is an unpaired brace"),
        (
            "rules:\n- say: x\n- knows: who\n  say: y",
            "line 3: knows: rule 2: no rule remembers who",
        ),
        (
            "rules:\n\n- say: x\n\n- hear: y\n  say: z",
            "line 5: rules: rule 2 is never reached: rule 1 (line 3) always applies "
            "first",
        ),
    ],
)
def test_an_error_names_its_place(tmp_path: Path, text: str, error: str) -> None:
    """The file, the line and the key, in one line."""
    with pytest.raises(ScenarioError) as raised:
        replies_of(tmp_path, text)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'scenario.yaml'}, {error}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("first", "second", "reached"),
    [
        ("{say: x}", "{say: y}", False),
        ("{hear: '', say: x}", "{hear: a, say: y}", False),
        ("{hear: a, say: x}", "{hear: a, say: y}", False),
        ("{hear: [a, b], say: x}", "{hear: b, tool: t, say: y}", False),
        ("{hear: a, say: x}", "{hear: [a, b], say: y}", True),
        ("{hear: a, say: x}", "{say: y}", True),
        ("{hear: a, say: x}", "{hear: b, say: y}", True),
        ("{tool: t, say: x}", "{hear: a, say: y}", True),
        ("{tool: t, say: x}", "{tool: t, hear: a, say: y}", False),
        ("{instructions: a, say: x}", "{instructions: a, say: y}", False),
        ("{instructions: a, say: x}", "{say: y}", True),
        ("{say: x}", "{result: a, say: y}", True),
        ("{result: a, say: x}", "{say: y}", True),
        ("{result: ., say: x}", "{result: a, say: y}", False),
        ("{once: true, say: x}", "{say: y}", True),
        ("{say: '{heard|count}'}", "{say: y}", True),
        ("{say: '{heard|upper}'}", "{say: y}", False),
        ("{remember: {n: '{heard|number}'}, say: x}", "{say: y}", True),
        ("{call: {name: t, arguments: {n: ['{heard|sum}']}}}", "{say: y}", True),
        ("{call: {name: t, arguments: {n: [a, 1]}}}", "{say: y}", False),
        ("{fail: '{heard|in_words}'}", "{say: y}", True),
        ("{do: [wait: 1, say: x]}", "{say: y}", False),
    ],
)
def test_a_rule_that_can_never_be_reached_is_refused(
    tmp_path: Path, first: str, second: str, reached: bool
) -> None:
    text = f"rules:\n- {first}\n- {second}"
    if reached:
        replies_of(tmp_path, text)
    else:
        with pytest.raises(ScenarioError, match="line 3: rules: rule 2 is never"):
            replies_of(tmp_path, text)


@pytest.mark.parametrize(
    ("filtered", "heard", "reply"),
    [
        ("number", "take 7 of them", "7"),
        ("number", "take some of them", None),
        ("number", "it costs 2.50", None),
        ("number", "1,000 of them", None),
        ("in_words", "take 12 of them", "twelve"),
        ("in_words", "take them", None),
        ("count", "up to two", "One, two."),
        ("count", "up to you", None),
        ("sum", "two times three", "Two times three is six."),
        ("sum", "two times you", None),
        # The long s matches "s" in a pattern that ignores case.
        ("number", "take \u017feven of them", None),
    ],
)
async def test_a_filter_invents_no_number(
    tmp_path: Path, filtered: str, heard: str, reply: str | None
) -> None:
    """Without a number the rule does not apply: it says and remembers nothing."""
    replies = replies_of(
        tmp_path,
        f"""
        rules:
          - once: true
            remember: {{last: "{{heard}}"}}
            say: "{{heard|{filtered}}}"
          - knows: last
            say: Kept.
          - say: Else.
        """,
    )
    assert await ask(replies, heard) == [Say(reply or "Else.")]
    assert await ask(replies, "no more") == [Say("Kept." if reply else "Else.")]


async def test_if_no_number_is_found_the_reply_says_that_it_is_scripted(
    tmp_path: Path,
) -> None:
    replies = replies_of(
        tmp_path, "rules: [{call: {name: t, arguments: {n: '{heard|number}'}}}]"
    )
    [said] = await ask(replies, "no number")
    assert isinstance(said, Say)
    assert "scripted" in said.text


async def test_plain_accepts_json_of_any_depth(tmp_path: Path) -> None:
    replies = replies_of(tmp_path, "rules: [{say: '{heard|plain}'}]")
    assert await ask(replies, '[{"a": [1, true]}, "b"]') == [Say("a 1, True, b")]
    assert await ask(replies, "[" * 5_000) == [Say("[" * 5_000)]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        load_scenario(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        load_scenario(tmp_path / "bytes.yaml")


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("what is three plus four", "Three plus four is seven."),
        ("what's 12 times 12?", "Twelve times twelve is one hundred forty four."),
        ("twenty one minus thirty", "Twenty one minus thirty is minus nine."),
        ("ten divided by four", "Ten divided by four is two, and two is left."),
        ("one divided by zero", "One divided by zero is not defined."),
        ("say good morning everyone", "Good morning everyone"),
        ("repeat after me: we are here", "We are here"),
        ("what time is it", "It is one oh five."),
        ("what is the date today", "Today is Friday, January 2."),
        ("which day is it? what day", "Today is Friday, January 2."),
    ],
)
async def test_the_default_calculates_repeats_and_tells_the_time(
    heard: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert await ask(default_replies(), heard, at=1767315900.0) == [Say(said)]


async def test_the_default_remembers_a_name() -> None:
    replies = default_replies()
    await ask(replies, "my name is ann", session="a")
    assert await ask(replies, "what is my name", session="a") == [
        Say("Your name is Ann.")
    ]


@pytest.mark.parametrize(
    ("heard", "choice", "thought"),
    [
        (
            "what is the weather in London for 3 days",
            "auto",
            {"city": "London", "days": 3, "unit": "celsius"},
        ),
        (
            "the weather in New York?",
            "auto",
            {"city": "New York", "days": 0, "unit": "celsius"},
        ),
        ("hello", "required", {"city": "hello", "days": 0, "unit": "celsius"}),
        ("hello", "get_weather", {"city": "hello", "days": 0, "unit": "celsius"}),
    ],
)
async def test_the_default_calls_a_tool_by_its_words(
    heard: str, choice: str, thought: dict[str, object]
) -> None:
    """Or because `tool_choice` requires it. The arguments have the schema's types."""
    replies = default_replies()
    [call] = await ask(replies, heard, tools=(WEATHER,), tool_choice=choice)
    assert isinstance(call, Call)
    assert call.name == "get_weather"
    assert json.loads(call.arguments) == thought


async def test_the_default_makes_no_other_calls() -> None:
    for heard, choice in (("hello", "auto"), ("the weather", "none")):
        [said] = await ask(
            default_replies(), heard, tools=(WEATHER,), tool_choice=choice
        )
        assert isinstance(said, Say)


TOP = Path(__file__).parents[3]


async def test_the_example_of_the_docs_works(tmp_path: Path) -> None:
    page = (TOP / "docs" / "scenarios.md").read_text(encoding="utf-8")
    replies = replies_of(tmp_path, page.partition("```yaml\n")[2].partition("```")[0])
    assert await ask(replies, "the weather in London") == [
        Say("Let me look."),
        Call("get_weather", '{"city":"London"}'),
    ]
    assert await ask(replies, "seven green cats") == [
        Say("I heard three words, and I am a script.")
    ]


KEYS = st.sampled_from(["hear", "say", "call", "wait", "do", "remember", "once", "x"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["{heard}", "{1|sum}", "(", "{", "!!x 1", "&a [*a]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)


@given(
    text=st.text(max_size=60)
    | st.lists(st.dictionaries(KEYS, VALUES)).map(lambda v: json.dumps({"rules": v}))
    | st.sampled_from(["rules: &a [{say: *a}]", "rules: " + "[" * 5_000])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_is_read_or_refused(tmp_path: Path, text: str) -> None:
    """For any content of the file."""
    with contextlib.suppress(ScenarioError):
        replies_of(tmp_path, text)
