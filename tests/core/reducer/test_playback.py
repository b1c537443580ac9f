"""Whether a reply is heard that we play ourselves, as over WebSocket."""

from __future__ import annotations

import base64
from typing import Any

from duologue.core import Store, select_is_settled
from duologue.core.effects import commands
from duologue.core.views.notices import notices

#: 100 ms of sound.
SOUND = base64.b64encode(bytes(4800)).decode()


class Talk:
    """A reply whose sound comes and is played, with times in seconds."""

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
    """The service was long through with it when we are."""
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
    """A service that is slower than speech: the end of the sound ends it."""
    talk = Talk()
    talk.play(100)
    assert talk.session.activity.playing == "r"
    talk.made()
    assert talk.session.activity.playing is None
    talk.play(100)
    talk.made()
    assert talk.told == [(True,), (False,)]


def test_what_is_cut_off_is_not_heard_any_more() -> None:
    """The service says so; a late word of how much was heard changes nothing."""
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
    """Over WebRTC nobody tells how much was heard: it is silent when it says so."""
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
    """A buffer of its own is there over WebRTC alone."""
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
    """An item that a client made has sound that nobody plays."""
    talk = Talk()
    item = {"id": "x", "type": "message", "role": "assistant"}
    talk.event("conversation.item.added", item=item)
    talk.event("duologue.played", "local", item_id="x", content_index=0, ms=10)
    assert talk.session.activity.playing is None


def test_sound_that_came_and_was_heard_before_it_was_told_changes_nothing() -> None:
    """A first word of it when all is over: it was never silent for us."""
    talk = Talk()
    talk.made()
    talk.play(100)
    assert talk.session.activity.playing is None
    assert talk.session.responses.by_id["r"].turn.audio_finished_at is None
    assert talk.told == []


def test_an_end_that_is_known_stays() -> None:
    """A reply that is heard anew keeps the time at which it was over first."""
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
    """The service's word comes first where it plays too: its time stays."""
    talk = Talk()
    talk.play(20)
    talk.event("output_audio_buffer.cleared", response_id="r")
    cut = talk.session.responses.by_id["r"].turn.interrupted_at
    assert cut == talk.at
    assert talk.session.activity.playing is None


def test_a_second_item_that_is_cut_off_too() -> None:
    """The response was interrupted when the first of them was; silence follows."""
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
