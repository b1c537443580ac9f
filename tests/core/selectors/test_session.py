"""What users read."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from immutables import Map
from msgspec.structs import replace

from duologue.core import Session, State, Transcript, TurnTimes, fold, reduce
from duologue.core.events.types import SessionStatus
from duologue.core.selectors import session as module
from duologue.core.selectors.session import (
    TranslatedText,
    select_dtmf,
    select_final_transcripts,
    select_is_connected,
    select_is_muted,
    select_is_settled,
    select_is_speaking,
    select_items,
    select_metadata,
    select_pending_approvals,
    select_pending_calls,
    select_problems,
    select_rate_limits,
    select_responses,
    select_running_calls,
    select_transcription_usage,
    select_transcripts,
    select_transcripts_by_role,
    select_translation,
    select_turn,
    select_turns,
    select_usage,
    select_words_missing,
)
from duologue.core.selectors.transcript import transcript_of
from duologue.core.state.model import (
    Activity,
    Connection,
    Conversation,
    Item,
    Responses,
)
from duologue.core.testing.stream import Stream

from ..strategies import HOSTILE
from ..talk import Frame, Service, fold_frames, to_record, to_records


def talked() -> Service:
    service = Service()
    service.spoken("hello")
    service.reply("good", " day", spoken=False)
    return service


def test_transcripts_whole() -> None:
    """Every field of every line."""
    service = talked()
    user, answer = fold_frames(*service.frames).conversation.order

    assert (
        Transcript(user, "user", "hello", True, None, None, 1000.1, 1000.4),
        Transcript(answer, "assistant", "good day", True, None, None, 1000.9, 1001.6),
    ) == select_transcripts(fold_frames(*service.frames))


def test_turns_whole() -> None:
    """Written words have no audio."""
    session = fold_frames(*talked().frames)
    user, _ = session.conversation.order
    (response,) = session.responses.order

    assert (TurnTimes(response, user, None, 1000.0, None),) == select_turns(session)


@pytest.mark.parametrize(
    ("select", "other"),
    [
        (select_transcripts, "ledger"),
        (select_final_transcripts, "ledger"),
        (select_items, "responses"),
        (select_turns, "items"),
        (select_responses, "items"),
    ],
)
def test_remembered_by_identity(select: Any, other: str) -> None:
    """The same object while the nodes that it reads are, whatever else changed."""
    session = fold_frames(*talked().frames)
    first = select(session)
    grown = replace(
        session, connection=Connection(SessionStatus.OPEN), tally=Session("").tally
    )
    if other == "items":
        grown = replace(grown, items=Map())

    assert first is select(session)
    assert first is select(grown)
    assert select(Session(session.id)) is not first


def test_the_last_64_sessions_are_remembered() -> None:
    """Those that were forgotten are forgotten here too, and nothing keeps them."""
    frames = talked().frames
    asked = [
        fold(to_records(frames, session=str(n))).sessions[str(n)] for n in range(65)
    ]
    first = [select_transcripts(session) for session in asked]

    assert [select_transcripts(it) for it in asked[1:]] == first[1:]
    assert all(
        select_transcripts(session) is lines
        for session, lines in zip(asked[1:], first[1:], strict=True)
    )
    again = select_transcripts(asked[0])
    assert again == first[0]
    assert again is not first[0]


class Talk(str):
    """Something that a session holds, and that can be seen to be gone."""

    __slots__ = ("__weakref__",)


def test_sessions_that_are_gone_are_let_go() -> None:
    """But for the last 64 of them."""
    gone: list[weakref.ref[Talk]] = []
    for n in range(200):
        words = Talk("words")
        gone.append(weakref.ref(words))
        select_translation(
            Session(str(n), conversation=Conversation(id=words, translation=None))
        )
        del words
    gc.collect()

    assert [n for n, it in enumerate(gone) if it() is not None] == [*range(136, 200)]


def test_settled() -> None:
    """Nobody speaks, no answer is due or in work, every line is final."""
    service = talked()
    settled = [
        select_is_settled(state.sessions["s"])
        for n in range(1, len(service.frames) + 1)
        for state in [fold(to_records(service.frames[:n]))]
    ]

    assert [False] * (len(settled) - 1) + [True] == settled
    assert select_is_settled(Session("new"))


@given(HOSTILE)
def test_settled_is_what_the_transcripts_say(stream: Stream) -> None:
    """Where nothing else is under way, the lines that are shown decide, all of them."""
    state = State()
    for record in stream:
        state = reduce(state, record)
        for session in state.sessions.values():
            quiet = replace(session, activity=Activity(), responses=Responses())
            lines = all(line.final for line in select_transcripts(quiet))
            running = bool(select_running_calls(quiet))
            assert select_is_settled(quiet) is (lines and not running)


def test_settled_makes_no_transcripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """To know whether lines are final takes none of their words."""
    made: list[str] = []

    def counting(item: Item) -> Transcript:
        made.append(item.id)
        return transcript_of(item)

    monkeypatch.setattr(module, "transcript_of", counting)
    session = fold_frames(*talked().frames)

    assert select_is_settled(replace(session, id="settled"))
    assert made == []
    assert len(select_transcripts(replace(session, id="settled"))) == len(made) == 2


def test_system_messages_are_no_lines() -> None:
    """They are items."""
    service = Service()
    service.typed("be kind", role="system")
    session = fold([to_record(frame) for frame in service.frames]).sessions["s"]

    assert (select_transcripts(session), len(session.items)) == ((), 1)


def test_every_selector_is_public() -> None:
    """A name that is written down once too few is found by nobody."""
    names = {name for name in vars(module) if name.startswith("select_")}

    assert names <= set(module.__all__)


# What was said.


def test_lines_by_who_and_how() -> None:
    """Both are parts of the whole."""
    service = talked()
    speaking = service.start_speech()
    session = fold_frames(*service.frames)
    user, answer, placeholder = select_transcripts(session)

    assert (user, answer) == select_final_transcripts(session)
    assert (user, placeholder) == select_transcripts_by_role(session, "user")
    assert (answer,) == select_transcripts_by_role(session, "assistant")
    assert (speaking, "") == (placeholder.item_id, placeholder.text)


def test_cleared_lines_are_not_shown() -> None:
    """What comes after is; the items stay."""
    service = talked()
    service.frames.append({"type": "duologue.cleared"})
    service.typed("anew")
    session = fold_frames(*service.frames)

    assert [line.text for line in select_transcripts(session)] == ["anew"]
    assert len(select_items(session)) == 3


def test_a_translation_has_two_texts() -> None:
    """And any other session has none."""
    service = Service()
    service.send("session.created", session={"type": "translation"})
    for type, delta, ms in (
        ("session.input_transcript.delta", "guten", 100),
        ("session.output_transcript.delta", "good", 200),
        ("session.output_transcript.delta", " day", 300),
    ):
        service.send(type, delta=delta, elapsed_ms=ms)
    session = fold_frames(*service.frames)

    assert TranslatedText("guten", "good day", 100, 300) == select_translation(session)
    assert select_translation(session) is select_translation(session)
    assert select_translation(Session("other")) is None


def test_where_words_may_be_missing() -> None:
    """Behind which items records were lost."""
    service = Service()
    service.frames.append({"type": "duologue.gap", "reason": "restart"})
    item_id = service.typed("hello")
    service.frames.append({"type": "duologue.gap", "reason": "restart"})

    assert ("", item_id) == select_words_missing(fold_frames(*service.frames))


def test_telephone_keys() -> None:
    """In the order in which they were pressed."""
    dtmf = "input_audio_buffer.dtmf_event_received"
    keys: list[Frame] = [
        {"type": dtmf, "event": key, "received_at": 7} for key in ("1", "#")
    ]

    assert [key.key for key in select_dtmf(fold_frames(*keys))] == ["1", "#"]


# Items and calls.


def test_items_without_the_deleted() -> None:
    """System messages and calls are items too."""
    service = Service()
    service.typed("be kind", role="system")
    gone = service.typed("no")
    service.send("conversation.item.deleted", item_id=gone)

    assert [i.role for i in select_items(fold_frames(*service.frames))] == ["system"]


def done(type: str, id: str, **fields: Any) -> Frame:
    fields.setdefault("status", "completed")
    item = {"type": type, "id": id, **fields}
    event_id = f"{id} {fields['status']}"
    return {"type": "conversation.item.done", "event_id": event_id, "item": item}


def called(call_id: str, status: str = "completed") -> Frame:
    fields = {"name": "f", "arguments": "{}", "status": status, "call_id": call_id}
    return done("function_call", f"i_{call_id}", **fields)


def gave(call_id: str) -> Frame:
    return done("function_call_output", f"o_{call_id}", call_id=call_id, output="1")


STARTED = {"type": "duologue.tool_started", "call_id": "a"}
DELETED = {"type": "conversation.item.deleted", "item_id": "i_a"}


@pytest.mark.parametrize(
    ("frames", "pending", "running"),
    [
        ([called("b"), called("a")], ["b", "a"], []),
        ([called("a", "incomplete"), called("b")], ["b"], []),
        ([called("a"), called("b"), STARTED], ["b"], ["a"]),
        ([called("a"), STARTED, gave("a")], [], []),
        ([gave("a")], [], []),
        ([called("a"), DELETED], [], []),
        ([called("a"), gave("a"), {**DELETED, "item_id": "o_a"}], ["a"], []),
        ([done("mcp_call", "m", name="f", arguments="{}", server_label="l")], [], []),
        (
            [done("mcp_approval_request", "a", name="f", arguments="{}")],
            [],
            [],
        ),
    ],
)
def test_calls_that_wait_and_calls_that_run(
    frames: list[Frame], pending: list[str], running: list[str]
) -> None:
    """Whole ones without output; in the order of the conversation."""
    session = fold_frames(*frames)

    assert (pending, running) == (
        [call.call_id for call in select_pending_calls(session)],
        [call.call_id for call in select_running_calls(session)],
    )


def test_calls_beside_the_conversation_come_last() -> None:
    """Those of responses out of band have no place in it."""
    service = Service()
    response = service.begin(in_band=False)
    for name in ("z", "y"):
        item = called(name)["item"]
        at = {"response_id": response, "output_index": 0}
        service.send("response.output_item.done", item=item, **at)
    service.frames.append(called("a"))
    session = fold_frames(*service.frames)

    assert [c.call_id for c in select_pending_calls(session)] == ["a", "y", "z"]


def test_approvals_that_wait() -> None:
    """Until somebody answers."""
    asks = done("mcp_approval_request", "r", server_label="l", name="f", arguments="{}")
    answer = done("mcp_approval_response", "x", approval_request_id="r", approve=False)

    assert [i.id for i in select_pending_approvals(fold_frames(asks))] == ["r"]
    assert select_pending_approvals(fold_frames(asks, answer)) == ()


# Responses.


def test_responses_in_their_order() -> None:
    """Those out of band too; they have no turn."""
    service = talked()
    service.reply("aside", in_band=False)
    session = fold_frames(*service.frames)

    assert [r.in_conversation for r in select_responses(session)] == [True, False]
    assert len(select_turns(session)) == 1


def test_the_latencies_of_a_turn() -> None:
    """End of speech to first audio and text, interruption to silence, in ms."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    response = service.begin()
    service.send("output_audio_buffer.started", response_id=response)
    service.say(response, ["a"])
    service.start_speech()
    service.send("output_audio_buffer.cleared", response_id=response)
    session = fold_frames(*service.frames)
    at = {frame["type"]: n * 100 for n, frame in enumerate(service.frames)}
    ended = at["input_audio_buffer.speech_stopped"]
    audio = at["output_audio_buffer.started"] - ended
    text = at["response.output_audio_transcript.delta"] - ended

    assert (TurnTimes(response, user, audio, text, 100.0),) == select_turns(session)


def test_the_turn_of_an_item() -> None:
    """That of the response that made it; of a user's words, or aside, there is none."""
    service = talked()
    aside = service.reply("aside", in_band=False)
    session = fold_frames(*service.frames)
    user, answer = session.conversation.order

    assert select_turn(session, answer) == select_turns(session)[0]
    assert [select_turn(session, item) for item in (user, aside, "nobody's")] == [
        None
    ] * 3


def test_the_metadata_of_an_item() -> None:
    """That of its response; none for what has none."""
    service = Service()
    user = service.typed("hello")
    said = service.say(service.begin(metadata={"a": "b"}), ["good"])
    session = fold_frames(*service.frames)

    assert (
        select_metadata(session, said["item_id"]),
        select_metadata(session, user),
        select_metadata(session, "nobody's"),
    ) == ({"a": "b"}, {}, {})


# What is going on, and what adds up.


def test_connection_and_activity() -> None:
    """Who is heard: the user comes first."""
    open_ = Session("s", connection=Connection(SessionStatus.OPEN))
    both = Session("s", activity=Activity(speaking_item="i", playing="r", muted=True))
    playing = Session("s", activity=Activity(playing="r"))

    assert [
        (select_is_connected(s), select_is_speaking(s), select_is_muted(s))
        for s in (open_, both, playing)
    ] == [
        (True, None, False),
        (False, "user", True),
        (False, "assistant", False),
    ]


@pytest.mark.parametrize(
    "node",
    [
        {"responses": Responses(wished="{}")},
        {"responses": Responses(asked="{}")},
        {"responses": Responses(active="r")},
        {"activity": Activity(playing="r")},
    ],
)
def test_not_settled(node: Any) -> None:
    """An answer is wished for, asked for, in work, or heard."""
    assert not select_is_settled(Session("s", **node))


def test_a_running_call_is_not_settled() -> None:
    """What it gives will be answered."""
    session = fold_frames(called("a"), STARTED)

    assert not select_is_settled(session)


def test_what_adds_up() -> None:
    """As the ledger has it."""
    service = Service()
    service.reply("hello")
    service.send("rate_limits.updated", rate_limits=[{"name": "tokens", "limit": 5}])
    service.send("error", error={"message": "m"})
    name = "conversation.item.input_audio_transcription.completed"
    seconds = {"type": "duration", "seconds": 2.0}
    at = {"item_id": "i", "content_index": 0}
    service.send(name, transcript="", usage=seconds, **at)
    state = fold([])
    for record in to_records(service.frames):
        state = reduce(state, record)
    session = state.sessions["s"]

    assert (
        select_usage(session).total,
        [problem.message for problem in select_problems(session)],
        [limit.name for limit in select_rate_limits(session)],
        select_transcription_usage(session).seconds,
    ) == (3, ["m"], ["tokens"], 2.0)


def test_an_item_with_an_empty_id_answers_no_call() -> None:
    """Where a call has no output, no id is not the id of what has an empty one."""
    call = {"id": "f", "type": "function_call", "call_id": "c", "name": "g"}
    done = {**call, "arguments": "{}", "status": "completed"}
    session = fold_frames(
        {"type": "input_audio_buffer.speech_started", "item_id": ""},
        {"type": "response.output_item.done", "response_id": "r", "item": done},
    )

    assert [each.call_id for each in select_pending_calls(session)] == ["c"]
