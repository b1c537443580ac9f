"""A spoken turn, event by event, on fake time."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from duologue.local.engine import effects

if TYPE_CHECKING:
    from tests.local.conftest import Bench

    Make = Callable[..., Bench]

WORD = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"
SAID = "response.output_audio_transcript.delta"
AUDIO = "response.output_audio.delta"

HEARD = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
OPENED = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
ENDED = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


def turn_detection(**changes: Any) -> dict[str, Any]:
    vad = {"type": "server_vad", **changes}
    return {"audio": {"input": {"turn_detection": vad}}}


def test_a_spoken_turn_over_a_socket_has_the_recorded_order(bench: Make) -> None:
    """Each run of deltas counts once; text and audio deltas interleave."""
    desk = bench()
    desk.turn()
    desk.run(3)
    flow = [kind for kind in desk.types if kind not in (SAID, AUDIO)]
    assert flow == [
        "session.created",
        *HEARD,
        "response.created",
        *[WORD] * 4,
        *OPENED,
        COMPLETED,
        *ENDED,
    ]
    assert (
        desk.types.index(SAID) < desk.types.index(AUDIO) < desk.types.index(COMPLETED)
    )
    assert len(desk.of(SAID)) == 5


def test_a_spoken_turn_over_a_track_has_no_audio_in_events(bench: Make) -> None:
    """``started`` comes with the first audio, ``stopped`` at the end of playback."""
    desk = bench(media=True)
    desk.turn()
    desk.run(3)
    flow = [kind for kind, _ in groupby(kind for kind in desk.types if kind != SAID)]
    assert flow == [
        "session.created",
        *HEARD,
        "response.created",
        WORD,
        *OPENED,
        "output_audio_buffer.started",
        COMPLETED,
        *ENDED,
        "output_audio_buffer.stopped",
    ]
    assert len(desk.played) == 48_000


def test_an_item_is_named_when_speech_starts(bench: Make) -> None:
    """``speech_started`` has the id of the item that is added later."""
    desk = bench()
    desk.turn()
    desk.run(3)
    started, stopped = (desk.last(kind) for kind in HEARD[:2])
    committed, added = desk.last(HEARD[2]), desk.of(HEARD[3])[0]
    item_id = started["item_id"]
    assert {stopped["item_id"], committed["item_id"], added["item"]["id"]} == {item_id}
    assert added["item"] == {
        "id": item_id,
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_audio", "transcript": None}],
    }
    assert committed["previous_item_id"] is None
    answer = desk.of("conversation.item.added")[1]
    assert answer["previous_item_id"] == item_id
    assert answer["item"]["content"] == []


def test_offsets_count_the_audio_of_the_session(bench: Make) -> None:
    """The start excludes the padding, the end includes the silence."""
    desk = bench()
    desk.hear(1000)
    desk.turn()
    started, stopped = (desk.last(kind) for kind in HEARD[:2])
    assert started["audio_start_ms"] == pytest.approx(1000 - 300, abs=32)
    assert stopped["audio_end_ms"] == pytest.approx(2000 + 500, abs=32)


def test_speech_is_noticed_within_100_ms(bench: Make) -> None:
    desk = bench()
    desk.hear(500)
    desk.hear(100, loud=True)
    assert desk.types[-1] == "input_audio_buffer.speech_started"


def test_the_ear_gets_300_ms_from_before_the_onset(bench: Make) -> None:
    desk = bench()
    desk.hear(1000)
    desk.turn()
    [fed] = desk.fed.values()
    assert fed / 32 == pytest.approx(300 + 1000 + 500, abs=64)


def test_the_joined_words_are_the_text(bench: Make) -> None:
    desk = bench(words=" can you  hear me")
    desk.turn()
    desk.run(3)
    deltas = "".join(event["delta"] for event in desk.of(WORD))
    completed = desk.last(COMPLETED)
    assert deltas == completed["transcript"] == "can you hear me"
    assert completed["usage"] == {"type": "duration", "seconds": 2}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("gpt-4o-transcribe", "tokens"),
        ("gpt-4o-transcribe-2025-03-20", "tokens"),
        ("gpt-4o-mini-transcribe", "tokens"),
        ("gpt-4o-mini-transcribe-2025-12-15", "tokens"),
        ("gpt-4o-transcribe-diarize", "duration"),
        ("gpt-transcribe", "duration"),
        ("gpt-realtime-whisper", "duration"),
        ("whisper-1", "duration"),
        (None, "duration"),
    ],
)
def test_the_usage_of_a_transcription_depends_on_its_model(
    bench: Make, model: str | None, kind: str
) -> None:
    """Ten tokens for a second of audio, one for four characters of text."""
    audio = {"input": {"transcription": {"model": model}}}
    desk = bench(session={"audio": audio}, transcribe=False)
    desk.turn()
    desk.run(3)
    assert (
        desk.last(COMPLETED)["usage"]
        == {
            "tokens": {
                "type": "tokens",
                "total_tokens": 20,
                "input_tokens": 16,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 16},
                "output_tokens": 4,
            },
            "duration": {"type": "duration", "seconds": 2},
        }[kind]
    )


def test_the_joined_reply_is_the_final_reply(bench: Make) -> None:
    desk = bench()
    desk.turn()
    desk.run(3)
    deltas = "".join(event["delta"] for event in desk.of(SAID))
    done = desk.last("response.output_audio_transcript.done")
    assert deltas == done["transcript"] == "Yes, I can hear you."
    [item] = desk.last("response.done")["response"]["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": deltas}]


def test_interim_words_are_not_sent(bench: Make) -> None:
    """The final transcript often corrects them, and deltas cannot.

    So the deltas add up to the final text. The item has the same text.
    """
    desk = bench(words="count to ten please")
    desk.hold = (effects.FinishUtterance,)
    desk.hear(500, loud=True)
    item_id = desk.last("input_audio_buffer.speech_started")["item_id"]
    for _ in range(2):
        desk.engine.guessed(item_id, "down to ten please", desk.at)
    desk.hear(600)
    assert desk.of(WORD) == []
    desk.hold = ()
    desk.release()
    desk.run(3)
    deltas = [event["delta"] for event in desk.of(WORD)]
    assert deltas == ["count", " to", " ten", " please"]
    assert desk.last(COMPLETED)["transcript"] == "".join(deltas)
    desk.send("conversation.item.retrieve", item_id=item_id)
    [part] = desk.last("conversation.item.retrieved")["item"]["content"]
    assert part == {"type": "input_audio", "transcript": "count to ten please"}


def test_without_transcription_only_the_mind_hears_the_words(bench: Make) -> None:
    desk = bench(transcribe=False)
    desk.hold = (effects.GenerateReply,)
    desk.turn()
    [think] = desk.held
    assert isinstance(think, effects.GenerateReply)
    assert think.prompt.heard == "can you hear me"
    desk.release()
    desk.run(3)
    assert not [kind for kind in desk.types if "transcription" in kind]


def test_the_transcription_ends_after_the_first_word_of_the_answer(bench: Make) -> None:
    """After ``transcript_lag``; None does not wait."""
    late = bench(transcript_lag=0.3)
    late.turn()
    late.run(3)
    assert late.types.index(COMPLETED) > late.types.index(SAID)
    early = bench(transcript_lag=None)
    early.turn()
    early.run(3)
    assert early.types.index(COMPLETED) < early.types.index(SAID)


def test_the_transcription_does_not_wait_for_ever(bench: Make) -> None:
    """It waits one second for a response that does not begin."""
    desk = bench()
    desk.hold = (effects.GenerateReply,)
    desk.turn()
    assert COMPLETED not in desk.types
    desk.run(1.1)
    assert desk.types[-1] == COMPLETED


def test_an_ear_that_fails_is_an_event_and_the_answer_comes(bench: Make) -> None:
    desk = bench()
    desk.fails["ear"] = "the recogniser's process ended"
    desk.turn()
    desk.run(3)
    failed = desk.last(FAILED)
    assert failed["error"]["message"] == "the recogniser's process ended"
    assert COMPLETED not in desk.types
    assert desk.last("response.done")["response"]["status"] == "completed"


@pytest.mark.parametrize("part", ["mind", "voice"])
def test_a_reply_that_cannot_be_made_fails_as_a_response(
    bench: Make, part: str
) -> None:
    desk = bench()
    desk.fails[part] = "out of order"
    desk.turn()
    desk.run(3)
    response = desk.last("response.done")["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["message"] == "out of order"
    assert [item["status"] for item in response["output"]] == (
        ["incomplete"] if part == "voice" else []
    )


def test_the_words_run_ahead_of_the_sound(bench: Make) -> None:
    """Words are sent at the pace, here four times as fast as speech."""
    desk = bench(says="one two three four five six seven eight", audio_ms=4000)
    desk.turn()
    told = len(desk.of(SAID))
    assert told == 1
    desk.run(0.3)
    assert 2 < len(desk.of(SAID)) < 8
    desk.run(1)
    assert len(desk.of(SAID)) == 8


def test_audio_in_events_is_paced_and_complete(bench: Make) -> None:
    desk = bench(audio_ms=4000)
    desk.turn()
    desk.run(0.3)
    some = sum(len(base64.b64decode(event["delta"])) for event in desk.of(AUDIO))
    desk.run(2)
    whole = sum(len(base64.b64decode(event["delta"])) for event in desk.of(AUDIO))
    assert 48 * 1000 < some < 48 * 2000
    assert whole == 48 * 4000


def test_a_click_is_no_turn(bench: Make) -> None:
    """One chunk above the threshold is not speech."""
    desk = bench()
    desk.hear(320)
    desk.hear(20, loud=True)
    desk.hear(1000)
    assert desk.types == ["session.created"]


def test_a_pause_shorter_than_the_silence_does_not_end_the_turn(bench: Make) -> None:
    desk = bench()
    desk.hear(400, loud=True)
    desk.hear(400)
    desk.turn(400)
    assert len(desk.of("input_audio_buffer.committed")) == 1


def test_the_silence_that_ends_a_turn_is_the_sessions(bench: Make) -> None:
    desk = bench(session=turn_detection(silence_duration_ms=200))
    desk.hear(400, loud=True)
    desk.hear(260)
    assert len(desk.of("input_audio_buffer.committed")) == 1


def test_without_create_response_the_turn_is_committed_only(bench: Make) -> None:
    """The transcript does not wait, because there is no response."""
    desk = bench()
    desk.send(
        "session.update",
        session={"type": "realtime", **turn_detection(create_response=False)},
    )
    desk.forget()
    desk.turn()
    assert desk.types == [*HEARD, *[WORD] * 4, COMPLETED]
    desk.send("response.create")
    desk.run(3)
    assert desk.last("response.done")["response"]["status"] == "completed"


def test_without_turn_detection_the_client_commits(bench: Make) -> None:
    """Push-to-talk: no speech events, an item at the commit, no response."""
    desk = bench(
        session={
            "audio": {
                "input": {"turn_detection": None, "transcription": {"model": "any"}}
            }
        }
    )
    desk.hear(800, loud=True)
    desk.forget()
    desk.send("input_audio_buffer.commit")
    assert desk.types == [*HEARD[2:], *[WORD] * 4, COMPLETED]
    [fed] = desk.fed.values()
    assert fed / 32 == pytest.approx(800, abs=1)
    desk.send("input_audio_buffer.commit")
    assert desk.last("error")["error"]["code"] == "input_audio_buffer_commit_empty"


def test_a_commit_during_speech_splits_the_turn(bench: Make) -> None:
    """``speech_stopped`` then has another item id than ``speech_started``."""
    desk = bench()
    desk.hear(600, loud=True)
    desk.send("input_audio_buffer.commit")
    first = desk.last("input_audio_buffer.committed")["item_id"]
    desk.turn(400)
    desk.run(3)
    assert first == desk.last("input_audio_buffer.speech_started")["item_id"]
    second = desk.last("input_audio_buffer.speech_stopped")["item_id"]
    assert second == desk.last("input_audio_buffer.committed")["item_id"] != first
    assert len(desk.of("response.created")) == 1


def test_input_that_is_cleared_is_forgotten(bench: Make) -> None:
    desk = bench()
    desk.hear(600, loud=True)
    desk.send("input_audio_buffer.clear")
    assert desk.types[-1] == "input_audio_buffer.cleared"
    desk.hear(1000)
    assert "input_audio_buffer.committed" not in desk.types


def test_a_turn_while_a_reply_may_not_be_interrupted_waits(bench: Make) -> None:
    """Its response begins when the previous one is done."""
    desk = bench(
        session=turn_detection(interrupt_response=False), audio_ms=8000, pace=1.0
    )
    desk.turn()
    desk.turn()
    assert len(desk.of("response.created")) == 1
    desk.run(20)
    statuses = [event["response"]["status"] for event in desk.of("response.done")]
    assert statuses == ["completed", "completed"]


def test_barge_in_over_a_track(bench: Make) -> None:
    """The response is cancelled, playback cleared, the item truncated there."""
    desk = bench(media=True, audio_ms=20_000, says="one two three four " * 20)
    desk.turn()
    desk.run(1)
    desk.forget()
    played = len(desk.played)
    desk.hear(100, loud=True)
    assert len(desk.played) - played < 48 * 100
    assert desk.types == [
        *[SAID] * desk.types.count(SAID),
        "input_audio_buffer.speech_started",
        *ENDED,
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]
    response = desk.last("response.done")["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {
        "type": "cancelled",
        "reason": "turn_detected",
    }
    [item] = response["output"]
    assert item["status"] == "incomplete"
    truncated = desk.last("conversation.item.truncated")
    assert truncated["item_id"] == item["id"]
    assert truncated["audio_end_ms"] == len(desk.played) // 48
    desk.run(1)
    assert len(desk.played) // 48 == truncated["audio_end_ms"]


def test_barge_in_after_the_response_is_done(bench: Make) -> None:
    """During playback it is cleared and truncated, but not cancelled."""
    desk = bench(media=True, audio_ms=5000)
    desk.turn()
    desk.run(1)
    assert desk.last("response.done")["response"]["status"] == "completed"
    desk.forget()
    desk.hear(100, loud=True)
    assert desk.types == [
        "input_audio_buffer.speech_started",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]


def test_barge_in_before_the_reply_has_begun(bench: Make) -> None:
    """Nothing is playing, so the response is cancelled and nothing cleared."""
    desk = bench(media=True)
    desk.hold = (effects.GenerateReply,)
    desk.turn()
    desk.forget()
    desk.hear(100, loud=True)
    assert desk.types == [
        "input_audio_buffer.speech_started",
        "response.done",
        "rate_limits.updated",
        COMPLETED,
    ]
    assert desk.last("response.done")["response"]["output"] == []
    desk.release()
    desk.run(1)
    assert desk.played == b""


def test_barge_in_over_a_socket_leaves_the_truncation_to_the_client(
    bench: Make,
) -> None:
    """Over WebSocket the client plays the audio and knows its position."""
    desk = bench(audio_ms=20_000, says="one two three four " * 20)
    desk.turn()
    desk.run(1)
    desk.forget()
    desk.hear(100, loud=True)
    flow = [kind for kind in desk.types if kind not in (SAID, AUDIO)]
    assert flow == ["input_audio_buffer.speech_started", *ENDED]


def test_two_turns_make_two_pairs(bench: Make) -> None:
    """Each response is ordered after its utterance."""
    desk = bench(media=True)
    for _ in range(2):
        desk.turn()
        desk.run(3)
    order = [event["previous_item_id"] for event in desk.of("conversation.item.added")]
    ids = [event["item"]["id"] for event in desk.of("conversation.item.added")]
    assert order == [None, *ids[:-1]]
    usage = [event["response"]["usage"] for event in desk.of("response.done")]
    first, second = (each["input_token_details"] for each in usage)
    assert first["cached_tokens"] == 0
    assert second["cached_tokens"] == first["text_tokens"] + first["audio_tokens"]
    assert second["cached_tokens"] < usage[1]["input_tokens"]
