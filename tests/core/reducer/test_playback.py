"""Playback of replies by the client or the service, truncation and turn times."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core import (
    Item,
    Session,
    Store,
    Transcript,
    TurnTimes,
    fold,
    select_is_settled,
    select_is_speaking,
    select_transcripts,
    select_turns,
)
from duologue.core.effects import commands
from duologue.core.reducer.playback import (
    PLAYING_TIMEOUT,
    estimate_heard,
    playing_deadlines,
    unheard_parts,
)
from duologue.core.reducer.responses import SILENCE_TIMEOUT
from duologue.core.state.model import (
    Activity,
    Connection,
    Part,
    Placement,
    Truncation,
)
from duologue.core.state.rope import Rope
from duologue.core.views.notices import notices

from ..talk import (
    Frame,
    Service,
    audio,
    changed,
    fold_frames,
    message,
    to_record,
    to_records,
)

#: 100 ms of audio.
SOUND = base64.b64encode(bytes(4800)).decode()


class Talk:
    """A reply whose audio arrives and is played, one second per event."""

    def __init__(self) -> None:
        self.store = Store()
        self.told: list[tuple[Any, ...]] = []
        self.store.subscribe(self._tell, session="s")
        self.at = 0.0
        self.event("response.created", response={"id": "r", "conversation_id": "c"})
        self.event(
            "response.output_item.added",
            response_id="r",
            item={"id": "a", "type": "message", "role": "assistant"},
        )
        self.event(
            "response.output_audio.delta",
            response_id="r",
            item_id="a",
            content_index=0,
            delta=SOUND,
        )

    def _tell(self, before: Any, record: Any, after: Any) -> None:
        old, new = before.sessions.get("s"), after.sessions["s"]
        for notice in notices(old, record, new):
            if notice.name == "speaking_changed":
                self.told.append(notice.args)

    @property
    def session(self) -> Any:
        session = self.store.session("s")
        assert session is not None
        return session

    def event(self, type: str, dir: Any = "in", **fields: Any) -> None:
        self.at += 1
        self.store.feed("s", {"type": type, **fields}, at=self.at, dir=dir)

    def play(self, ms: int) -> None:
        self.event("duologue.played", "local", item_id="a", content_index=0, ms=ms)

    def made(self) -> None:
        self.event("response.output_audio.done", response_id="r", item_id="a")

    def done(self) -> None:
        self.event(
            "response.done",
            response={"id": "r", "status": "completed", "conversation_id": "c"},
        )


def test_it_is_heard_from_the_first_to_the_last_of_its_sound() -> None:
    """A reply is playing until the client has played all of it, even after ``done``."""
    talk = Talk()
    assert talk.session.activity.playing is None
    talk.play(0)
    talk.made()
    talk.done()
    assert talk.session.activity.playing == "r"
    assert not select_is_settled(talk.session)
    talk.play(60)
    talk.play(100)
    assert talk.session.activity.playing is None
    assert talk.session.responses.by_id["r"].turn.audio_finished_at == talk.at
    assert select_is_settled(talk.session)
    assert talk.told == [(True,), (False,)]


def test_more_may_come_when_all_there_is_was_heard() -> None:
    """Playback ends only after all audio has arrived."""
    talk = Talk()
    talk.play(100)
    assert talk.session.activity.playing == "r"
    talk.made()
    assert talk.session.activity.playing is None
    talk.play(100)
    talk.made()
    assert talk.told == [(True,), (False,)]


@pytest.mark.parametrize("is_played_first", [True, False])
def test_a_response_that_has_ended_gets_no_more_audio(is_played_first: bool) -> None:
    """Audio played to its end after ``response.done`` is over, whatever is missing."""
    talk = Talk()
    talk.play(0)
    if is_played_first:
        talk.play(100)
        talk.done()
    else:
        talk.done()
        talk.play(99)
        assert talk.session.activity.playing == "r"
        talk.play(100)
    assert talk.session.activity.playing is None
    assert talk.session.responses.by_id["r"].turn.audio_finished_at == talk.at
    assert select_is_settled(talk.session)
    assert talk.told == [(True,), (False,)]


def test_a_response_that_falls_silent_gets_no_more_audio() -> None:
    """The tick that ends the response ends its playback as well."""
    talk = Talk()
    talk.event("session.created", session={"id": "sess", "type": "realtime"})
    talk.play(100)
    for _ in range(3):
        talk.at += SILENCE_TIMEOUT
        talk.event("duologue.tick", "local")
    assert talk.session.responses.by_id["r"].status == "incomplete"
    assert talk.session.activity.playing is None


def test_an_interruption_ends_the_playback_of_what_was_heard() -> None:
    """Nothing is left to truncate, so no other event ends it."""
    talk = Talk()
    talk.play(100)
    item = message("a", "assistant", [], status="completed")
    talk.event("response.output_item.done", response_id="r", item=item)
    assert talk.session.activity.playing == "r"
    talk.event("duologue.interrupted", "local")
    assert talk.session.activity.playing is None
    assert talk.told == [(True,), (False,)]


def test_an_interruption_of_what_is_heard_waits_for_its_truncation() -> None:
    """The truncation has the position, and ends the playback."""
    for item_ms in (40, 100):  # 100: all that has arrived, of an item in progress
        talk = Talk()
        talk.play(item_ms)
        talk.event("duologue.interrupted", "local")
        assert talk.session.activity.playing == "r"
        cut(talk, item_ms)
        assert talk.session.activity.playing is None
        assert talk.session.responses.by_id["r"].turn.interrupted_at == talk.at


@pytest.mark.parametrize("is_service", [True, False])
def test_playback_without_an_end_has_a_time_limit(is_service: bool) -> None:
    """At the limit the assistant no longer speaks, and the reply is over."""
    talk = Talk()
    if is_service:
        talk.event("output_audio_buffer.started", response_id="r")
    else:
        talk.play(40)
    talk.done()
    began = talk.session.responses.by_id["r"].turn.first_audio_at
    (limit,) = playing_deadlines(talk.session)
    assert limit == began + PLAYING_TIMEOUT
    talk.at = limit - 2
    talk.event("duologue.tick", "local")
    assert select_is_speaking(talk.session) == "assistant"
    assert not select_is_settled(talk.session)
    talk.event("duologue.tick", "local")
    assert select_is_speaking(talk.session) is None
    assert select_is_settled(talk.session)
    talk.play(60)
    assert select_is_speaking(talk.session) is None
    assert list(playing_deadlines(talk.session)) == []
    assert talk.told == [(True,), (False,)]


def test_what_is_cut_off_is_not_heard_any_more() -> None:
    """``truncated`` ends the playback; a later playing position changes nothing."""
    talk = Talk()
    talk.play(40)
    talk.event("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    assert talk.session.responses.by_id["r"].turn.barge_in_at == talk.at
    talk.event(
        "conversation.item.truncated", item_id="a", content_index=0, audio_end_ms=40
    )
    assert talk.session.activity.playing is None
    assert talk.session.responses.by_id["r"].turn.interrupted_at == talk.at
    talk.play(60)
    talk.made()
    assert talk.session.activity.playing is None
    assert talk.told == [(True,), (False,)]


def test_what_the_service_plays_is_its_affair() -> None:
    """Over WebRTC, only ``output_audio_buffer`` events end the playback."""
    talk = Talk()
    talk.event("output_audio_buffer.started", response_id="r")
    talk.made()
    talk.event(
        "conversation.item.truncated", item_id="a", content_index=0, audio_end_ms=40
    )
    assert talk.session.activity.playing == "r"
    talk.event("output_audio_buffer.cleared", response_id="r")
    assert talk.session.activity.playing is None


def test_only_the_service_is_told_to_stop_playing() -> None:
    """``output_audio_buffer.clear`` is sent only if the service plays."""
    here, there = Talk(), Talk()
    here.play(40)
    there.event("output_audio_buffer.started", response_id="r")
    sent = [
        [event.type for event in commands.interrupt(talk.session)]
        for talk in (here, there)
    ]
    cancel = "response.cancel"
    assert sent == [[cancel], [cancel, "output_audio_buffer.clear"]]


def test_what_belongs_to_no_response_is_not_heard() -> None:
    """A played item without a response does not set `playing`."""
    talk = Talk()
    item = {"id": "x", "type": "message", "role": "assistant"}
    talk.event("conversation.item.added", item=item)
    talk.event("duologue.played", "local", item_id="x", content_index=0, ms=10)
    assert talk.session.activity.playing is None


def test_sound_that_came_and_was_heard_before_it_was_told_changes_nothing() -> None:
    """A first playing position at the end of complete audio changes nothing."""
    talk = Talk()
    talk.made()
    talk.play(100)
    assert talk.session.activity.playing is None
    assert talk.session.responses.by_id["r"].turn.audio_finished_at is None
    assert talk.told == []


def test_an_end_that_is_known_stays() -> None:
    """A replayed reply keeps its first `audio_finished_at`."""
    talk = Talk()
    talk.play(0)
    talk.made()
    talk.play(100)
    over = talk.session.responses.by_id["r"].turn.audio_finished_at
    talk.play(50)
    assert talk.session.activity.playing == "r"
    talk.play(100)
    assert talk.session.responses.by_id["r"].turn.audio_finished_at == over
    talk.play(50)
    talk.event(
        "conversation.item.truncated", item_id="a", content_index=0, audio_end_ms=50
    )
    assert talk.session.activity.playing is None


def test_what_both_sides_call_interrupted_is_so_once() -> None:
    """``output_audio_buffer.cleared`` also interrupts playback by the client."""
    talk = Talk()
    talk.play(20)
    talk.event("output_audio_buffer.cleared", response_id="r")
    cut = talk.session.responses.by_id["r"].turn.interrupted_at
    assert cut == talk.at
    assert talk.session.activity.playing is None


def test_a_second_item_that_is_cut_off_too() -> None:
    """Only a playing response is interrupted, and the first time is kept."""
    talk = Talk()
    cut = {"content_index": 0, "audio_end_ms": 10}
    talk.event("conversation.item.truncated", item_id="a", **cut)
    assert talk.session.responses.by_id["r"].turn.interrupted_at is None
    talk = Talk()
    talk.play(10)
    talk.event("conversation.item.truncated", item_id="a", **cut)
    at = talk.at
    second = {"id": "b", "type": "message", "role": "assistant"}
    talk.event("response.output_item.added", response_id="r", item=second)
    talk.event("duologue.played", "local", item_id="b", content_index=0, ms=10)
    assert talk.session.activity.playing == "r"
    talk.event("conversation.item.truncated", item_id="b", **cut)
    assert talk.session.activity.playing is None
    assert talk.session.responses.by_id["r"].turn.interrupted_at == at


def test_what_was_played() -> None:
    """Only an existing item gets a playing position."""
    service = Service()
    item_id = service.reply("good day")
    service.send("conversation.item.deleted", item_id="gone")
    played = {"type": "duologue.played", "item_id": item_id, "ms": 40}
    lost = [{**played, "item_id": name} for name in ("gone", "?")]
    session = fold_frames(*service.frames, played, played, *lost)

    assert session.items[item_id].placement.played_ms == 40
    assert session.items["gone"].placement.played_ms is None
    assert session.activity == Activity()


def truncated(ms: Any) -> Frame:
    at = {"item_id": "a", "content_index": 0}
    return {"type": "conversation.item.truncated", **at, "audio_end_ms": ms}


def spoken(text: str, item_id: str = "a") -> Frame:
    part = {"type": "output_audio", "transcript": text}
    item = message(item_id, "assistant", [part])
    return {"type": "conversation.item.done", "item": item}


def test_truncation_keeps_the_text() -> None:
    """A truncated line keeps its text and has the position and the heard text."""
    session = fold_frames(spoken("one two three four"), truncated(500))

    assert (
        Transcript(
            "a", "assistant", "one two three four", True, 500, "one two", 1000.1, 1000.1
        ),
    ) == select_transcripts(session)


@pytest.mark.parametrize(
    ("ms", "expected"),
    [(-5, 0), (420.0, 420), (420.9, 420), (10**400, 86_400_000), (None, 0)],
)
def test_strange_times_of_truncation(ms: Any, expected: int) -> None:
    """Invalid positions are limited to 0 and one day."""
    session = fold_frames(spoken("one two"), truncated(ms))

    assert [expected] == [t.interrupted for t in select_transcripts(session)]


def test_the_services_truncation_counts() -> None:
    """The first truncation of the service is kept; a second one is ignored."""
    session = fold_frames(spoken("one two three"), truncated(400), truncated(900))

    assert Truncation(400, "one") == session.items["a"].truncation


def test_truncation_of_an_item_that_is_not_known() -> None:
    """Truncation creates the item without text; the text is added when it arrives."""
    session = fold_frames(truncated(300), spoken("one two"))

    assert [
        (t.item_id, t.text, t.interrupted, t.heard) for t in select_transcripts(session)
    ] == [("a", "one two", 300, None)]


def spoken_item(text: str, audio: int = 0, status: str = "completed") -> Item:
    part = Part("output_audio", Rope(text), True, audio)
    return Item("a", role="assistant", status=status, parts=(part,))


@pytest.mark.parametrize(
    ("item", "ms", "expected"),
    [
        # One second of audio: half of it is 10 of 20 characters.
        (spoken_item("abcd fghi klmn pqrst", 48_000), 500, "abcd fghi"),
        (spoken_item("abcd fghi klmn pqrst", 48_000), 999, "abcd fghi klmn"),
        (spoken_item("abcd fghi klmn pqrst", 48_000), 1000, "abcd fghi klmn pqrst"),
        (spoken_item("abcd fghi klmn pqrst", 48_000), 9000, "abcd fghi klmn pqrst"),
        (spoken_item("abcd fghi klmn pqrst", 48_000), 0, ""),
        # Unknown audio: 15 characters a second.
        (spoken_item("abcd fghi klmn pqrst"), 700, "abcd fghi"),
        (spoken_item("abcd fghi klmn pqrst"), 9000, "abcd fghi klmn pqrst"),
        # Incomplete item: its text is ahead of its audio.
        (spoken_item("abcd fghi klmn pqrst", 9600, "incomplete"), 200, ""),
        (spoken_item("abcd fghi klmn pqrst", 9600, "incomplete"), 400, "abcd"),
        (spoken_item("word", 48_000), 500, ""),
        (spoken_item("今日はいい天気です", 48_000), 500, "今日はい"),
        (spoken_item("line\nbreak", 48_000), 700, "line"),
        (spoken_item("", 48_000), 500, None),
        (Item("a"), 500, None),
    ],
)
def test_what_was_heard(item: Item, ms: int, expected: str | None) -> None:
    """The share of the audio, in whole words, limited to the rate of speech."""
    assert expected == estimate_heard(item, ms, 48.0)


def two_parts(*audio_ms: int) -> Item:
    texts = ("abcd fghi", " klmn pqrs")
    parts = tuple(
        Part("output_audio", Rope(text), True, ms * 48)
        for text, ms in zip(texts, audio_ms, strict=True)
    )
    return Item("a", role="assistant", status="completed", parts=parts)


@pytest.mark.parametrize(
    ("item", "index", "ms", "expected"),
    [
        (two_parts(1000, 1000), 0, 600, "abcd"),
        (two_parts(1000, 1000), 0, 1000, "abcd fghi"),
        (two_parts(1000, 1000), 0, 1500, "abcd fghi klmn"),
        (two_parts(1000, 1000), 1, 500, "abcd fghi klmn"),
        (two_parts(1000, 1000), 1, 9000, "abcd fghi klmn pqrs"),
        # Without audio, the position is in the part that it names.
        (two_parts(0, 0), 0, 300, "abcd"),
        (two_parts(0, 0), 1, 400, "abcd fghi klmn"),
        (two_parts(0, 0), 7, 400, "abcd fghi klmn"),
        (two_parts(0, 0), -1, 300, "abcd"),
    ],
)
def test_what_was_heard_of_two_parts(
    item: Item, index: int, ms: int, expected: str
) -> None:
    """The parts are played one after the other; the position is in one of them."""
    assert estimate_heard(item, ms, 48.0, index) == expected


@pytest.mark.parametrize(
    ("part", "ms", "expected"),
    [
        (0, None, [(0, 0), (1, 0)]),
        (0, 30, [(0, 30), (1, 0)]),
        (0, 100, [(1, 0)]),
        (0, 120, [(1, 20)]),
        (1, 20, [(1, 20)]),
        (1, 50, []),
        (9, 0, []),
        (-1, -5, [(0, 0), (1, 0)]),
    ],
)
def test_the_audio_that_was_not_heard(
    part: int, ms: int | None, expected: list[tuple[int, int]]
) -> None:
    """Each part that was not played to its end is listed with its position."""
    place = Placement(played_part=part, played_ms=ms)
    item = replace(two_parts(100, 50), placement=place)
    truncated = replace(item, truncation=Truncation(0))
    later = Session("s", connection=Connection(epoch=1))

    assert list(unheard_parts(Session("s"), item)) == expected
    # Neither a truncated item nor one of another connection has any.
    assert list(unheard_parts(Session("s"), truncated)) == []
    assert list(unheard_parts(later, item)) == []


@given(st.text(), st.integers(0, 86_400_000), st.integers(0, 10**12), st.booleans())
def test_what_was_heard_is_a_beginning(
    text: str, ms: int, audio: int, complete: bool
) -> None:
    """For any numbers the heard text is a prefix of the text."""
    item = spoken_item(text, audio, "completed" if complete else "incomplete")

    assert text.startswith(estimate_heard(item, ms, 48.0) or "")


def speech(what: str, item_id: str = "u", **fields: Any) -> Frame:
    return {"type": f"input_audio_buffer.{what}", "item_id": item_id, **fields}


def playing(what: str, response_id: str = "r") -> Frame:
    return {"type": f"output_audio_buffer.{what}", "response_id": response_id}


def timed(*frames: tuple[float | None, Frame]) -> Session:
    return fold(to_record(frame, at=at) for at, frame in frames).sessions["s"]


def turn() -> tuple[Service, str, str]:
    """A user who spoke, and a reply in progress."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    response = service.begin()
    return service, user, response


def test_the_times_of_a_turn() -> None:
    """Latencies count from the end of speech, the interruption from the barge-in."""
    service, user, response = turn()
    said = service.say(response, ["Hello there"])
    session = timed(
        *((1.0, frame) for frame in service.frames[:1]),
        *((2.0, frame) for frame in service.frames[1:6]),
        *((2.5, f) for f in service.frames[6:] if "audio.delta" not in f["type"]),
        (3.0, playing("started", response)),
        (3.1, playing("started", response)),
        (4.0, speech("speech_started", "v")),
        (4.1, speech("speech_started", "w")),
        (4.25, playing("cleared", response)),
        (4.5, playing("cleared", response)),
    )

    assert (TurnTimes(response, user, 1000.0, 500.0, 250.0),) == select_turns(session)
    assert (
        session.items[said["item_id"]].truncation.audio_end_ms,  # type: ignore[union-attr]
        session.items[said["item_id"]].truncation.heard,  # type: ignore[union-attr]
    ) == (1250, "Hello there")


def test_audio_that_is_played_out() -> None:
    """The first ``stopped`` sets `audio_finished_at`; a second one changes nothing."""
    service, _, response = turn()
    session = timed(
        *((1.0, frame) for frame in service.frames),
        (2.0, playing("started", response)),
        (5.0, playing("stopped", response)),
        (6.0, playing("stopped", response)),
    )

    assert session.responses.by_id[response].turn.audio_finished_at == 5.0


@pytest.mark.parametrize(
    ("start", "end"), [(5.0, 1.0), (-1e308, 1e308), (float("nan"), 5.0), (0.0, 1e9)]
)
def test_times_that_cannot_be(start: float, end: float) -> None:
    """Impossible times give no truncation and raise nothing."""
    service, _, response = turn()
    said = service.say(response, ["Hello"])
    session = timed(
        *((start, frame) for frame in service.frames),
        (start, playing("started", response)),
        (end, playing("cleared", response)),
    )

    assert session.items[said["item_id"]].truncation is None


def test_a_cut_marks_the_message_not_the_call() -> None:
    """The last message of the response is truncated, not a later call."""
    service, _, response = turn()
    said = service.say(response, ["Hello"])
    call = {"id": "c", "type": "function_call", "status": "in_progress"}
    service.send("response.output_item.added", response_id=response, item=call)
    service.send("output_audio_buffer.started", response_id=response)
    service.send("output_audio_buffer.cleared", response_id=response)
    session = fold_frames(*service.frames)

    assert session.items["c"].truncation is None
    assert session.items[said["item_id"]].truncation is not None


def test_a_cut_of_nothing() -> None:
    """A response without a message gets no truncation."""
    service, _, response = turn()
    service.send("output_audio_buffer.started", response_id=response)
    service.send("output_audio_buffer.cleared", response_id=response)

    assert [
        item.truncation for item in fold_frames(*service.frames).items.values()
    ] == [None]


def test_the_services_time_replaces_ours() -> None:
    """A position from ``truncated`` replaces the one estimated from the clock."""
    service, _, response = turn()
    said = service.say(response, ["Hello there you"])
    service.send("output_audio_buffer.started", response_id=response)
    service.send("output_audio_buffer.cleared", response_id=response)
    ours = fold_frames(*service.frames)
    at = {"item_id": said["item_id"], "content_index": 0}
    service.send("conversation.item.truncated", **at, audio_end_ms=420)
    theirs = fold_frames(*service.frames)

    assert [
        (cut.audio_end_ms, cut.confirmed)
        for session in (ours, theirs)
        if (cut := session.items[said["item_id"]].truncation)
    ] == [(200, False), (420, True)]


def test_an_answer_without_audio_is_not_cut_off() -> None:
    """A cleared text reply is interrupted but not truncated."""
    service, _, response = turn()
    said = service.say(response, ["Hello"], spoken=False)
    session = fold_frames(*service.frames, playing("cleared", response))

    assert session.items[said["item_id"]].truncation is None
    assert session.responses.by_id[response].turn.interrupted_at is not None


def test_what_was_played_to_its_end_is_not_cut_off() -> None:
    """Clearing the buffer after the end of playback interrupts nothing."""
    service, _, response = turn()
    said = service.say(response, ["Hello"])
    frames = [playing("started", response), playing("stopped", response)]
    session = fold_frames(*service.frames, *frames, playing("cleared", response))

    assert session.items[said["item_id"]].truncation is None
    assert session.responses.by_id[response].turn.interrupted_at is None


LOST = {"type": "duologue.disconnected", "reason": "gone"}


CREATED: Any = {"type": "response.created", "response": {"id": "r"}}


DELTA: Any = {
    "type": "response.output_text.delta",
    "response_id": "r",
    "item_id": "a",
    "delta": "x",
}


SHOWN: Any = message("a", "assistant", [], status="in_progress")


OUTPUT: Any = {
    "type": "response.output_item.added",
    "response_id": "r",
    "item": SHOWN,
}


SPOKEN: Any = {
    "type": "response.output_audio.delta",
    "response_id": "r",
    "item_id": "a",
    "delta": audio(48_000),
}


PART: Any = {
    "type": "response.content_part.added",
    "response_id": "r",
    "item_id": "a",
    "part": {"type": "audio", "transcript": "one two three four"},
}


CALL: Any = {"type": "function_call", "id": "c", "name": "f", "call_id": "c"}


@pytest.mark.parametrize(
    ("frames", "lost_at", "expected"),
    [
        # The playing position, or else the time since the audio began.
        (
            [PART, SPOKEN, {"type": "duologue.played", "item_id": "a", "ms": 300}],
            9.0,
            300,
        ),
        ([PART, SPOKEN], 1.5, 500),
        # Text without audio: none of it was heard.
        ([PART], 9.0, 0),
        # Unknown without times, or if times decrease.
        ([PART, SPOKEN], None, None),
        ([PART, SPOKEN], 0.5, None),
        # Text replies and calls have no audio.
        ([OUTPUT, DELTA], 9.0, None),
        ([{**OUTPUT, "item": CALL}], 9.0, None),
    ],
)
def test_what_was_heard_of_an_answer_that_is_lost(
    frames: list[Any], lost_at: float | None, expected: int | None
) -> None:
    """A reply that a lost connection ends is truncated at its playing position."""
    records = [to_record(frame, at=1.0) for frame in (CREATED, *frames)]
    session = fold([*records, to_record(LOST, at=lost_at)]).sessions["s"]
    cut = [item.truncation for item in session.items.values()]

    assert [found and found.audio_end_ms for found in cut] == [expected]


def test_an_answer_of_which_nothing_stands() -> None:
    """A deleted item gets no truncation."""
    deleted = {"type": "conversation.item.deleted", "item_id": "a"}
    session = fold(to_records([CREATED, PART, SPOKEN, deleted, LOST])).sessions["s"]

    assert session.items["a"].truncation is None
    assert session.responses.by_id["r"].status == "incomplete"


def test_the_volume_and_a_deleted_item() -> None:
    """The volume is stored; a deleted item cannot be truncated."""
    deleted = {"type": "conversation.item.deleted", "item_id": "a"}
    volume = {"type": "duologue.volume", "volume": 0.5}
    session = fold_frames(volume, deleted, truncated(5))

    assert session.activity.volume == 0.5
    assert session.items["a"].truncation is None


def cut(talk: Talk, ms: int, item_id: str = "a") -> None:
    """The client truncates an item."""
    at = {"item_id": item_id, "content_index": 0, "audio_end_ms": ms}
    talk.event("conversation.item.truncate", "out", **at)


def test_the_clients_truncation_counts_until_the_service_answers() -> None:
    """The first one is kept, and ends the playback; then the service's counts."""
    talk = Talk()
    talk.play(20)
    cut(talk, 30)
    at = talk.at
    cut(talk, 40)

    assert talk.session.items["a"].truncation == Truncation(30, None, False)
    assert talk.session.responses.by_id["r"].turn.interrupted_at == at
    assert talk.session.activity.playing is None
    talk.event(**truncated(25))
    cut(talk, 50)
    assert talk.session.items["a"].truncation == Truncation(25)


@pytest.mark.parametrize("item_id", ["?", "u", "gone"])
def test_what_the_client_cannot_truncate(item_id: str) -> None:
    """An unknown item, one of the user or a deleted one changes nothing."""
    talk = Talk()
    talk.play(20)
    talk.event("input_audio_buffer.committed", item_id="u", previous_item_id=None)
    talk.event("conversation.item.deleted", item_id="gone")
    before = talk.session
    cut(talk, 30, item_id)

    assert changed(before, talk.session) == []


def test_items_behind_the_one_that_plays() -> None:
    """Those with audio were not played at all; a text is read, not heard."""
    other = {**OUTPUT, "item": {**SHOWN, "id": "b"}}
    text = {**OUTPUT, "item": {**SHOWN, "id": "c"}}
    frames = [
        *(CREATED, PART, SPOKEN, other, {**SPOKEN, "item_id": "b"}),
        *(text, {**DELTA, "item_id": "c"}),
        {"type": "duologue.played", "item_id": "a", "ms": 300},
        LOST,
    ]
    items = fold_frames(*frames).items
    found = [items[name].truncation for name in "abc"]

    assert [one and one.audio_end_ms for one in found] == [300, 0, None]
