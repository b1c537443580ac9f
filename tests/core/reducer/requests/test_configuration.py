"""The requested configuration and its changes."""

from __future__ import annotations

import json

import pytest

from duologue.core import Record
from duologue.core.reducer.requests.configuration import wanted_config
from duologue.core.reducer.requests.sent_events import MAX_SENT
from duologue.core.wire.codec import MAX_FRAME

from ...talk import Frame, to_record
from .records import AGAIN_OPEN, OPEN, failed, out, session_after, wished


@pytest.mark.parametrize(
    "config", [{"type": "realtime", "voice": "x"}, {"type": "translation"}]
)
def test_the_configuration_that_went_out(config: Frame) -> None:
    """A sent configuration is the requested one, even if it was not queued."""
    update = {"type": "session.update", "session": config}
    sent = session_after(out(update)).connection.requested

    assert session_after(out(update), wished(update)).connection.requested is not None
    assert sent is not None
    assert '"type":"' in sent


def test_a_change_of_the_configuration() -> None:
    """A change is merged into the requested configuration; other settings stay."""
    update = {"type": "session.update", "session": {"voice": "x", "tools": [1]}}
    change = {"type": "session.update", "session": {"tools": [], "model": "m"}}

    assert session_after(wished(update), out(change)).connection.requested == (
        '{"model":"m","tools":[],"type":"realtime","voice":"x"}'
    )


def test_an_update_without_a_time() -> None:
    """Its answer is not waited for; its change is kept like any other."""
    frame: Frame = {"type": "session.update", "session": {"type": "realtime"}}
    connections = [session_after(out(frame, at=at)).connection for at in (1.0, None)]
    timed, untimed = connections

    assert (timed.updates_in_flight, untimed.updates_in_flight) == ((1.0,), ())
    assert untimed.changes == timed.changes != ()


def test_a_wish_is_kept_in_one_spelling() -> None:
    """It is kept as canonical JSON, so live and replayed states are equal."""
    one = {"type": "session.update", "session": {"b": 1, "a": {"d": 2, "c": 3}}}

    assert session_after(wished(one)).connection.requested == (
        '{"a":{"c":3,"d":2},"b":1}'
    )


X, Y, Z = ({"instructions": name} for name in "xyz")
LOW: Frame = {"max_output_tokens": 9}
MODEL: Frame = {"model": "m"}


def wish(*configs: Frame) -> Record:
    return wished({"type": "session.update", "session": merge(*configs)})


def update(*configs: Frame, event_id: str | None = None) -> Record:
    config = {"type": "realtime", **merge(*configs)}
    frame: Frame = {"type": "session.update", "session": config}
    return out(frame if event_id is None else {**frame, "event_id": event_id})


def merge(*configs: Frame) -> Frame:
    return {key: value for config in configs for key, value in config.items()}


UPDATED = to_record({"type": "session.updated", "session": {"type": "realtime"}})
REFUSED = failed(param="session.instructions")


@pytest.mark.parametrize(
    ("records", "accepted", "changes", "wanted"),
    [
        ([wish(X)], None, ["queued"], X),
        ([wish(X), wish(X)], None, ["queued"], X),
        ([wish(X), wish(LOW)], None, ["queued", "queued"], merge(X, LOW)),
        ([wish(X), update(X)], None, ["sent"], X),
        ([wish(X), wish(LOW), update(LOW)], None, ["queued", "sent"], merge(X, LOW)),
        # The first answer also confirms the request to connect.
        ([wish(X), wish(LOW), update(LOW), UPDATED], merge(X, LOW), [], merge(X, LOW)),
        ([update(X), UPDATED, update(LOW), UPDATED], merge(X, LOW), [], merge(X, LOW)),
        # What is known already is restored, and changes nothing.
        ([update(X), UPDATED, update(X)], X, ["restored"], X),
        ([update(X), UPDATED, update(X, MODEL)], X, ["restored"], X),
        ([update(X), UPDATED, update(X), REFUSED], X, [], X),
        ([update(X), UPDATED, update(X), *AGAIN_OPEN], X, [], X),
        # A service answers in order.
        ([update(X), update(Y), UPDATED], X, ["sent"], Y),
        ([update(X), UPDATED, update(Y), update(LOW), REFUSED], X, ["sent"], None),
        ([update(X), UPDATED, update(Y), REFUSED], X, [], X),
        # The first one is refused: only its model stays.
        ([update(X, MODEL), REFUSED], MODEL, [], MODEL),
        ([wish(MODEL), update(X), REFUSED], None, ["queued"], MODEL),
        # By its id it can be any of them.
        (
            [
                *(update(X), UPDATED, update(Y, event_id="y")),
                *(update(LOW, event_id="low"), failed(event_id="low")),
            ],
            X,
            ["sent"],
            Y,
        ),
        ([UPDATED], None, [], {}),
        ([REFUSED], None, [], {}),
        # It is sent again on the next connection.
        ([update(X), UPDATED, update(Y), *AGAIN_OPEN], X, ["queued"], Y),
    ],
)
def test_changes_of_the_configuration(
    records: list[Record],
    accepted: Frame | None,
    changes: list[str],
    wanted: Frame | None,
) -> None:
    """Each is kept until it is accepted or refused; a refused one has no effect."""
    connection = session_after(*records).connection
    states = [
        "restored" if each.is_restored else "sent" if each.sent else "queued"
        for each in connection.changes
    ]

    def read(config: str) -> Frame:
        values: Frame = json.loads(config)
        values.pop("type", None)
        return values

    assert states == changes
    assert accepted == (connection.accepted and read(connection.accepted))
    assert read(wanted_config(connection)) == (
        merge(X, LOW) if wanted is None else wanted
    )


def test_the_kept_changes() -> None:
    """The oldest ones are merged; the first can be that of the session."""
    many: list[Frame] = [{"instructions": str(n)} for n in range(100)]
    many[3] = {"tool_choice": "required"}
    connection = session_after(*map(wish, many)).connection
    kept = [json.loads(each.config) for each in connection.changes]

    assert kept == [
        many[0],
        {"instructions": str(100 - MAX_SENT + 1), "tool_choice": "required"},
        *many[102 - MAX_SENT :],
    ]
    assert json.loads(wanted_config(connection)) == {**many[99], **many[3]}


def test_an_answer_to_merged_changes() -> None:
    """Many updates without an answer: a late refusal drops the merged ones."""
    many = [update({"instructions": str(n)}) for n in range(MAX_SENT + 1)]
    changes = session_after(update(X), UPDATED, *many).connection.changes
    refused = session_after(update(X), UPDATED, *many, REFUSED, REFUSED).connection

    assert len(changes) == MAX_SENT
    assert refused.changes == changes[2:]


NEW: Frame = {"brand_new": 1, "audio": {"input": {"more": 2}}}


@pytest.mark.parametrize("asked", [True, False])
def test_fields_that_are_not_in_the_catalogue(asked: bool) -> None:
    """They are restored like the others, and tell two changes apart."""
    again = {"brand_new": 3}
    requested = [wish(X, NEW)] if asked else []
    records = [*requested, update(X, NEW), UPDATED, update(again)]
    connection = session_after(*records).connection
    wanted = json.loads(wanted_config(connection))

    assert [each.is_restored for each in connection.changes] == [False]
    assert wanted == {"type": "realtime", **merge(X, NEW), **again}
    assert json.loads(connection.requested or "") == wanted


def test_a_configuration_that_is_larger_than_a_frame() -> None:
    """The merged configuration can be larger than any change that is sent."""
    half = "x" * (MAX_FRAME * 3 // 5)
    first, second = {"instructions": half}, {"tracing": {"group_id": half}}
    sent = [update(first), UPDATED, update(second), UPDATED, update(LOW)]
    connection = session_after(*sent).connection
    wanted = json.loads(wanted_config(connection))

    assert [each.is_restored for each in connection.changes] == [False]
    assert wanted == {"type": "realtime", **merge(first, second, LOW)}


GOOD: Frame = {"instructions": "good", "audio": {"output": {"voice": "x"}}}
BAD: Frame = {"tool_choice": "bad"}
UNKNOWN = failed(message="Invalid value")


def updated(*configs: Frame) -> Record:
    return to_record({"type": "session.updated", "session": merge(*configs)})


def after(*records: Record) -> tuple[Frame, list[Frame]]:
    """The configuration to restore, and the changes to send one by one."""
    connection = session_after(update(GOOD), updated(GOOD), *records).connection
    base, *changes = (
        {key: value for key, value in json.loads(config).items() if key != "type"}
        for config in (connection.base, *(each.config for each in connection.changes))
    )
    return base, changes


@pytest.mark.parametrize(
    "answers",
    [
        (UNKNOWN,),
        (failed(event_id="of the service"),),
        (),
        (updated(GOOD),),
        (updated(GOOD, {"tool_choice": "auto"}),),
    ],
)
@pytest.mark.parametrize("echo", [Y, merge(GOOD, Y), merge(GOOD, {"n": 1}, Y)])
def test_a_refused_change_that_no_error_names(
    answers: tuple[Record, ...], echo: Frame
) -> None:
    """`session.updated` confirms only a change whose values it shows."""
    found = after(update(BAD), *answers, update(Y), updated(echo))

    assert found == (merge(GOOD, Y), [BAD])


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        (X, Y, []),
        (merge(X, BAD), Y, [BAD]),
        (merge(BAD, LOW), merge(LOW, Y), [BAD]),
        ({"audio": {"output": {"voice": "y", "speed": 2}}}, GOOD, "speed"),
        ({"audio": {"output": {"voice": "y"}}}, GOOD, []),
        ({"audio": {"output": None}}, GOOD, []),
    ],
)
def test_a_later_change_is_confirmed_first(
    first: Frame, second: Frame, left: list[Frame] | str
) -> None:
    """The earlier one keeps only what the later one does not set."""
    rest = [{"audio": {"output": {"speed": 2}}}] if left == "speed" else left

    assert after(update(first), update(second), updated(second)) == (
        merge(GOOD, second),
        rest,
    )


TOOL: Frame = {"name": "a", "type": "function"}


@pytest.mark.parametrize(
    ("shown", "confirmed"),
    [
        # With the defaults of the service.
        ({"tools": [{**TOOL, "strict": True}], "instructions": "old"}, True),
        ({"tools": [TOOL], "speed": 1}, True),
        ({"tools": []}, False),
        ({"tools": [{**TOOL, "name": "b"}]}, False),
        ({"tools": [TOOL, {**TOOL, "name": "b"}]}, False),
        ({"tools": None}, False),
        # It names a field that was requested, but none of this change.
        ({"instructions": "good"}, False),
        # It names no requested field: a service confirms in order.
        ({"type": "realtime", "id": "s", "status": "open"}, True),
    ],
)
def test_the_values_of_a_change(shown: Frame, confirmed: bool) -> None:
    """Fields that the service adds do not count; a field in the change does."""
    tools: Frame = {"tools": [TOOL]}
    base, changes = after(update(tools), updated(shown))

    assert (base, changes) == (
        (merge(GOOD, tools), []) if confirmed else (GOOD, [tools])
    )


def test_the_change_that_is_shown_whole() -> None:
    """Two may be shown: a change that the service echoes in part is the second."""
    part, whole = merge(Y, BAD), Y

    assert after(update(part), update(whole), updated(Y)) == (merge(GOOD, Y), [BAD])
    assert after(update(part), updated(Y)) == (merge(GOOD, Y, BAD), [])


LATE = to_record({"type": "duologue.tick"}, at=10.0)


def test_a_change_that_was_given_up() -> None:
    """It stays apart until the service shows it; the order does not confirm it."""
    given_up = [OPEN, update(BAD), LATE]
    again = [*given_up, *AGAIN_OPEN, update_again(BAD)]

    assert after(*given_up, update(Y), UPDATED) == (merge(GOOD, Y), [BAD])
    assert after(*given_up, UPDATED) == (GOOD, [BAD])
    assert after(*given_up, updated(GOOD, BAD)) == (merge(GOOD, BAD), [])
    assert after(*again, updated_again()) == (GOOD, [BAD])
    assert after(*again, updated_again(BAD)) == (merge(GOOD, BAD), [])


def update_again(config: Frame) -> Record:
    frame = {"type": "session.update", "session": {"type": "realtime", **config}}
    return out(frame, epoch=1)


def updated_again(*configs: Frame) -> Record:
    event: Frame = {"type": "session.updated", "session": merge(*configs)}
    return to_record(event, epoch=1)


@pytest.mark.parametrize(
    ("param", "left"),
    [
        ("tool_choice", [LOW]),
        ("session.tool_choice", [LOW]),
        ("max_output_tokens", [BAD]),
        ("session.max_output_tokens", [BAD]),
        # No field of a change: the first one.
        ("session", [LOW]),
        ("session.speed", [LOW]),
        ("speed", [BAD, LOW]),
        ("response.tool_choice", [BAD, LOW]),
        ("", [BAD, LOW]),
    ],
)
def test_the_field_that_an_error_names(param: str, left: list[Frame]) -> None:
    """It says which change was refused."""
    assert after(update(BAD), update(LOW), failed(param=param)) == (GOOD, left)


def test_a_field_of_the_response_in_flight() -> None:
    """The error may be about either, so it refuses none."""
    create = out({"type": "response.create", "response": BAD})
    records = [update(GOOD), update(BAD), create, failed(param="tool_choice")]
    session = session_after(*records)

    assert len(session.connection.changes) == 2
    assert session.responses.in_flight is not None


@pytest.mark.parametrize("before", [[], [update(GOOD), UPDATED]])
def test_a_change_that_is_refused_after_it_was_confirmed(
    before: list[Record],
) -> None:
    """The event that confirmed it was not its answer."""
    bad = update(GOOD, BAD, MODEL, event_id="bad")
    refused = [*before, bad, UPDATED, failed(event_id="bad")]
    connection = session_after(*refused).connection
    config = {"type": "realtime", **(merge(GOOD) if before else MODEL)}

    assert json.loads(connection.base) == config
    assert json.loads(wanted_config(connection)) == config


@pytest.mark.parametrize("doubt", [[update(Y), updated(Y)], [LATE]])
def test_the_configuration_to_connect_with(doubt: list[Record]) -> None:
    """A change that may be invalid is sent apart, except its model."""
    bad = update(BAD, MODEL)
    records = [OPEN, update(GOOD), updated(GOOD), update(LOW), bad, *doubt]
    connection = session_after(*records[:-1]).connection
    given_up = session_after(*records).connection

    assert "tool_choice" in json.loads(wanted_config(connection))
    assert "tool_choice" not in json.loads(wanted_config(given_up))
    assert json.loads(wanted_config(given_up))["model"] == "m"
    assert "tool_choice" in given_up.changes[-1].config
