"""Responses out of band, also of services that name no conversation."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import Record, Session, dump, fold, load, select_transcripts
from duologue.core.state.model import OutOfBandRequest
from duologue.core.testing import Script
from duologue.core.testing import to_records as to_stream

from ...strategies import enough, scripts
from ...talk import Frame, message, to_record

#: How a service names the conversation of a response.
NULL: Frame = {"conversation_id": None}
ABSENT: Frame = {}
EMPTY: Frame = {"conversation_id": ""}
SAME: Frame = {"conversation_id": "c"}
UNNAMED = [NULL, ABSENT, EMPTY]
SERVICES = [*UNNAMED, SAME]


def asked(*, aside: bool = False, **fields: object) -> list[Frame]:
    """A ``response.create`` of this client."""
    if aside:
        fields["conversation"] = "none"
    return [{"type": "response.create", "response": fields}]


def replied(name: str, service: Frame, **fields: object) -> list[Frame]:
    """A response, with its id as its text."""
    response = {"id": name, **service, **fields}
    part = {"type": "output_text", "text": name}
    item = message(f"i_{name}", "assistant", [part])
    delta = {"response_id": name, "item_id": f"i_{name}", "delta": name}
    return [
        {"type": "response.created", "response": response},
        {"type": "response.output_text.delta", **delta},
        {"type": "response.done", "response": {**response, "output": [item]}},
    ]


def typed(item_id: str) -> list[Frame]:
    item = message(item_id, "user", [{"type": "input_text", "text": item_id}])
    return [{"type": "conversation.item.added", "item": item}]


def heard(item_id: str) -> list[Frame]:
    return [
        {"type": f"input_audio_buffer.{name}", "item_id": item_id}
        for name in ("speech_started", "speech_stopped", "committed")
    ]


def records(*parts: list[Frame], step: float = 1.0) -> list[Record]:
    return [
        to_record(
            frame,
            seq,
            at=1000.0 + seq * step,
            dir="out" if frame["type"] == "response.create" else None,
        )
        for seq, frame in enumerate((f for part in parts for f in part), start=1)
    ]


def after(*parts: list[Frame], step: float = 0.1) -> Session:
    return fold(records(*parts, step=step)).sessions["s"]


def replies(session: Session) -> list[str]:
    """The texts of the assistant in the transcript."""
    lines = select_transcripts(session)
    return [line.text for line in lines if line.role == "assistant"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("input", [None, [{"type": "item_reference", "id": "u"}]])
def test_an_answer_out_of_band(service: Frame, input: object) -> None:
    """The answer to the only request in flight is out of band, if that request is.

    It is neither in the transcript nor active, and its request is answered once.
    """
    fields = {} if input is None else {"input": input}
    begun = after(asked(aside=True, **fields), replied("x", service)[:2])
    ended = after(typed("u"), asked(aside=True, **fields), replied("x", service))
    next_ = after(
        asked(aside=True), replied("x", service), asked(), replied("n", service)
    )

    assert (begun.responses.active, replies(begun)) == (None, [])
    assert (replies(ended), ended.responses.out_of_band) == ([], ())
    assert [*ended.conversation.order] == ["u"]
    assert ended.responses.by_id["x"].status == "completed"
    assert replies(next_) == ["n"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("turn", [asked(), heard("u"), [*typed("u"), *asked()]])
def test_an_answer_in_the_conversation(service: Frame, turn: list[Frame]) -> None:
    """It is in the transcript and active, even if its conversation is always null."""
    begun = after(turn, replied("n", service)[:2])
    late = after(turn, replied("n", service)[1:])
    more = after(turn, replied("n", service), replied("m", service))

    assert (begun.responses.active, replies(begun)) == ("n", ["n"])
    assert (begun.responses.in_flight, replies(late)) == (None, ["n"])
    assert replies(more) == ["n", "m"]


@pytest.mark.parametrize("service", UNNAMED)
@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("sent", ["xyn", "xny", "nxy"])
def test_three_requests_in_flight(service: Frame, echo: bool, sent: str) -> None:
    """Without metadata they are answered in order; with metadata, in any order."""
    metadata = {name: {"topic": name} if name != "n" else {} for name in "xyn"}
    requests = [asked(aside=name != "n", metadata=metadata[name]) for name in sent]
    for order in ("xyn", "xny", "nxy", "nyx") if echo and sent[0] == "n" else (sent,):
        answers = [
            replied(name, service, metadata=metadata[name] if echo else None)
            for name in order
        ]
        assert replies(after(*requests, *answers)) == ["n"], order


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("order", ["xyn", "yxn", "nxy", "xny"])
def test_metadata_decide(service: Frame, order: str) -> None:
    """If all requests have metadata, the answers can arrive in any order."""
    metadata = {name: {"topic": name} for name in "xyn"}
    requests = [asked(aside=name != "n", metadata=metadata[name]) for name in "xyn"]
    answers = [replied(name, service, metadata=metadata[name]) for name in order]

    assert replies(after(*requests, *answers)) == ["n"]


@pytest.mark.parametrize("service", UNNAMED)
def test_equal_metadata(service: Frame) -> None:
    """Requests with equal metadata are answered in order."""
    same: Frame = {"metadata": {"a": "b"}}
    requests = [asked(**same), asked(aside=True, **same)]
    answers = [replied(name, service, **same) for name in "nx"]

    assert replies(after(*requests, *answers)) == ["n"]
    assert replies(after(*reversed(requests), *reversed(answers))) == ["n"]


@pytest.mark.parametrize("service", SERVICES)
def test_the_answer_to_a_turn_before_an_answer_out_of_band(service: Frame) -> None:
    """The turn was answered first: the out-of-band answer has other metadata."""
    topic = {"metadata": {"topic": "x"}}
    vad, aside = replied("n", service), replied("x", service, **topic)

    assert replies(after(asked(aside=True, **topic), heard("u"), vad, aside)) == ["n"]
    plain = replied("x", service)
    assert replies(after(heard("u"), asked(aside=True), vad, plain)) == ["n"]
    assert replies(after(heard("u"), asked(aside=True, **topic), aside, vad)) == ["n"]


def test_a_turn_after_an_out_of_band_request() -> None:
    """Without metadata, and without a conversation, the answers are in order."""
    frames = [asked(aside=True), heard("u"), replied("x", NULL), replied("n", NULL)]

    assert replies(after(*frames)) == ["n"]
    untimed = [msgspec.structs.replace(each, at=None) for each in records(*frames)]
    assert replies(fold(untimed).sessions["s"]) == ["n"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("event_id", ["e1", None])
def test_a_refused_out_of_band_request(service: Frame, event_id: str | None) -> None:
    """A request that an error refuses is answered by no response."""
    request = {**asked(aside=True)[0], "event_id": "e1"}
    error = {"code": "bad_response_create", "event_id": event_id}
    refused = {"type": "error", "error": error}
    session = after([request, refused], asked(), replied("n", service))
    busy = {**error, "code": "conversation_already_has_active_response"}
    active = after(
        asked(), replied("n", ABSENT)[:1], [request, {**refused, "error": busy}]
    )

    assert (replies(session), session.responses.out_of_band) == (["n"], ())
    assert (active.responses.queued, active.responses.out_of_band) == (None, ())


@pytest.mark.parametrize("service", UNNAMED)
def test_an_ignored_out_of_band_request(service: Frame) -> None:
    """It is not answered by a response that begins ten seconds later."""
    late = after(asked(aside=True), asked(), replied("n", service), step=11.0)
    early = after(asked(aside=True), replied("x", service), step=10.0)

    assert (replies(late), replies(early)) == (["n"], [])


def test_a_request_on_another_connection() -> None:
    """A response of the next connection does not answer it."""
    connecting: list[Frame] = [{"type": "duologue.connecting"}]
    first = records(connecting, asked(aside=True))
    second = records(connecting, asked(), replied("n", ABSENT), step=0.1)
    moved = [msgspec.structs.replace(each, epoch=1) for each in second]

    assert replies(fold([*first, *moved]).sessions["s"]) == ["n"]


def test_a_service_that_names_conversations() -> None:
    """Its null means out of band, and its name means the conversation (API)."""
    named = [asked(), replied("n", SAME)]
    other = after(*named, typed("u"), replied("o", NULL))
    asides = after(*named, asked(aside=True), replied("x", NULL), replied("y", NULL))
    normal = after(asked(aside=True), asked(), replied("n", SAME), replied("x", NULL))
    turn = after(asked(aside=True), heard("u"), replied("n", SAME), replied("x", NULL))

    assert [replies(each) for each in (other, asides, normal, turn)] == [["n"]] * 4
    assert normal.responses.names_conversation is True
    assert normal.responses.out_of_band == turn.responses.out_of_band == ()


def test_a_null_of_another_client() -> None:
    """Without an awaited answer, or with unknown metadata, null means out of band."""
    alone = after(replied("o", NULL))
    other = after(asked(metadata={"a": "b"}), replied("o", NULL, metadata={"c": "d"}))
    echoed = after(asked(metadata={"a": "b"}), replied("n", NULL, metadata={"a": "b"}))

    assert [replies(each) for each in (alone, other, echoed)] == [[], [], ["n"]]
    assert other.responses.in_flight is not None


@pytest.mark.parametrize("ends", [False, True])
def test_a_conversation_that_is_named_late(ends: bool) -> None:
    """The first name shows that the nulls before it meant out of band."""
    aside = replied("o", NULL) if ends else replied("o", NULL)[:2]
    request = {"type": "duologue.requested", "item_id": "u", "event": asked()[0]}
    spoken = [*heard("u"), *aside]
    wished = [*typed("u"), request, *asked(), *aside]

    for frames in (spoken, wished):
        before, session = after(frames), after(frames, replied("n", SAME))
        assert (replies(before), replies(session)) == (["o"], ["n"])
        assert not session.responses.by_id["o"].in_conversation
        assert session.responses.active is None
    assert after(spoken, replied("n", SAME)).responses.by_id["n"].turn.item_id == "u"
    assert after(wished, replied("n", SAME)).responses.by_id["n"].answers == ("u",)
    queued = after(wished, asked(), replied("n", SAME))
    assert queued.responses.by_id["o"].answers == ()
    unknown = after(heard("u"), replied("o", NULL)[1:2], spoken[3:], replied("n", SAME))
    assert replies(unknown) == ["n"]


def test_a_conversation_that_is_named_during_a_turn() -> None:
    """The response answers the turn that is not answered yet, not the earlier one."""
    first = [asked(aside=True), replied("x", NULL), heard("u"), replied("o", NULL)]
    session = after(*first, heard("v"), replied("n", SAME))

    assert (replies(session), len(session.responses.order)) == (["n"], 3)
    assert session.responses.by_id["n"].turn.item_id == "v"


def test_the_requests_are_in_a_snapshot() -> None:
    """A loaded state still has the requests that are not answered."""
    request = {**asked(aside=True, metadata={"a": "b"})[0], "event_id": "e1"}
    state = fold(records(asked(), [request]))
    kept = OutOfBandRequest("e1", 0, 1002.0, '{"a":"b"}', is_second=True)

    assert state.sessions["s"].responses.out_of_band == (kept,)
    assert load(dump(state)) == state


@given(scripts(3), st.sampled_from([NULL, ABSENT, EMPTY]))
@enough
def test_the_transcript_of_a_service_that_names_no_conversation(
    played: Script, service: Frame
) -> None:
    """Any stream: out-of-band answers that this client asked for are not in it."""
    frames: list[Frame] = []
    for frame in played.frames:
        response = frame.get("response")
        if isinstance(response, dict) and "conversation_id" in response:
            unnamed = {k: response[k] for k in response if k != "conversation_id"}
            frame = {**frame, "response": {**unnamed, **service}}
        frames.append(frame)
    session = fold(to_stream(frames)).sessions["s"]
    named = fold(to_stream(played.frames)).sessions["s"]

    assert [(line.item_id, line.text) for line in select_transcripts(session)] == [
        (line.item_id, line.text) for line in select_transcripts(named)
    ]
    assert {
        each.id: each.in_conversation for each in session.responses.by_id.values()
    } == {each.id: each.in_conversation for each in named.responses.by_id.values()}
