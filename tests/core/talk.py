"""Streams as a service sends them, written turn by turn.

`Service` writes the frames of one session; `fold_frames` folds them. What a stream
must fold to is known from how it was written, not from the code under test.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import attrs
import msgspec

from duologue.core import Record, Session, fold

Frame = dict[str, Any]

#: What a session is made of, the bookkeeping aside.
NODES = [a.name for a in attrs.fields(Session) if a.name not in ("id", "tally")]


def to_record(
    frame: Frame | bytes | str,
    seq: int = 1,
    *,
    session: str = "s",
    at: float | None = 0.0,
    epoch: int = 0,
    dir: Literal["in", "out", "local"] | None = None,
) -> Record:
    """The record of a frame; its direction by its type unless it is given."""
    if isinstance(frame, dict):
        local = str(frame.get("type")).startswith("duologue.")
        dir = dir or ("local" if local else "in")
        frame = msgspec.json.encode(frame)
    return Record.of(
        frame, seq=seq, session=session, dir=dir or "in", at=at, epoch=epoch
    )


def to_records(
    frames: Iterable[Frame | bytes], *, session: str = "s", start: float = 1000.0
) -> list[Record]:
    """The records of frames that come a tenth of a second after each other."""
    return [
        to_record(frame, seq, session=session, at=start + seq / 10)
        for seq, frame in enumerate(frames, start=1)
    ]


def fold_frames(*frames: Frame) -> Session:
    """The session after these frames."""
    return fold(to_records(frames)).sessions["s"]


def changed(before: Session, after: Session) -> list[str]:
    """The nodes that are not the same object, the tally aside."""
    return [name for name in NODES if getattr(before, name) is not getattr(after, name)]


def audio(count: int) -> str:
    """So many bytes of audio as base64."""
    return base64.b64encode(bytes(count)).decode()


class Service:
    """Writes what a service sends; the frames gather in ``frames``."""

    def __init__(self, prefix: str = "") -> None:
        self.frames: list[Frame] = []
        self.last: str | None = None
        self._prefix = prefix
        self._count = 0

    def name(self, kind: str) -> str:
        """A fresh id."""
        self._count += 1
        return f"{self._prefix}{kind}_{self._count}"

    def send(self, type: str, **fields: Any) -> Frame:
        """One more frame."""
        frame = {"type": type, "event_id": self.name("event"), **fields}
        self.frames.append(frame)
        return frame

    def created(self, **config: Any) -> None:
        session = {"type": "realtime", "id": self.name("sess"), **config}
        self.send("session.created", session=session)

    def typed(self, text: str, role: str = "user") -> str:
        item_id = self.name("item")
        item = message(item_id, role, [{"type": "input_text", "text": text}])
        self._stand(item_id, item, done=True)
        return item_id

    def _stand(self, item_id: str, item: Frame, *, done: bool) -> None:
        previous, self.last = self.last, item_id
        self.send("conversation.item.added", item=item, previous_item_id=previous)
        if done:
            self.send("conversation.item.done", item=item, previous_item_id=previous)

    def start_speech(self) -> str:
        item_id = self.name("item")
        self.send(
            "input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=10
        )
        return item_id

    def end_speech(self, item_id: str) -> None:
        self.send(
            "input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=900
        )
        self.send(
            "input_audio_buffer.committed", item_id=item_id, previous_item_id=self.last
        )
        item = message(item_id, "user", [{"type": "input_audio", "transcript": None}])
        self._stand(item_id, item, done=True)

    def transcribe(self, item_id: str, chunks: Sequence[str], *, fails: bool) -> None:
        name = "conversation.item.input_audio_transcription"
        at: Frame = {"item_id": item_id, "content_index": 0}
        for chunk in chunks:
            self.send(f"{name}.delta", **at, delta=chunk)
        if fails:
            self.send(f"{name}.failed", **at, error={"message": "inaudible"})
        else:
            self.send(f"{name}.completed", **at, transcript="".join(chunks))

    def begin(self, *, in_band: bool = True, metadata: Any = None) -> str:
        response_id = self.name("resp")
        conversation_id = "conv_1" if in_band else None
        self.send(
            "response.created",
            response={
                "id": response_id,
                "status": "in_progress",
                "conversation_id": conversation_id,
                "metadata": metadata,
            },
        )
        return response_id

    def say(
        self,
        response_id: str,
        chunks: Sequence[str],
        *,
        spoken: bool = True,
        in_band: bool = True,
    ) -> Frame:
        """An item of the assistant's up to its last delta; give it to `finish`."""
        item_id = self.name("item")
        item = message(item_id, "assistant", [], status="in_progress")
        self.send(
            "response.output_item.added",
            response_id=response_id,
            output_index=0,
            item=item,
        )
        if in_band:
            self._stand(item_id, item, done=False)
        at = {
            "response_id": response_id,
            "item_id": item_id,
            "output_index": 0,
            "content_index": 0,
        }
        part = {"type": "audio", "transcript": ""} if spoken else {"type": "text"}
        self.send("response.content_part.added", **at, part=part)
        kind = "output_audio_transcript" if spoken else "output_text"
        for chunk in chunks:
            self.send(f"response.{kind}.delta", **at, delta=chunk)
            if spoken:
                self.send("response.output_audio.delta", **at, delta=audio(480))
        return {**at, "text": "".join(chunks), "spoken": spoken, "in_band": in_band}

    def finish(self, said: Frame, status: str = "completed") -> Frame:
        """The item is over; gives it as ``response.done`` shows it."""
        at = {key: said[key] for key in ("response_id", "item_id")}
        at |= {"output_index": 0, "content_index": 0}
        if said["spoken"]:
            self.send(
                "response.output_audio_transcript.done", **at, transcript=said["text"]
            )
            self.send("response.output_audio.done", **at)
            part = {"type": "output_audio", "transcript": said["text"]}
        else:
            self.send("response.output_text.done", **at, text=said["text"])
            part = {"type": "output_text", "text": said["text"]}
        self.send("response.content_part.done", **at, part=part)
        item = message(said["item_id"], "assistant", [part], status=status)
        if said["in_band"]:
            self.send("conversation.item.done", item=item, previous_item_id=None)
        self.send(
            "response.output_item.done",
            response_id=said["response_id"],
            output_index=0,
            item=item,
        )
        return item

    def end(
        self,
        response_id: str,
        output: Sequence[Frame] = (),
        status: str = "completed",
        *,
        in_band: bool = True,
        **details: Any,
    ) -> None:
        self.send(
            "response.done",
            response={
                "id": response_id,
                "status": status,
                "status_details": details or None,
                "conversation_id": "conv_1" if in_band else None,
                "output": list(output),
                "usage": {"total_tokens": 3, "input_tokens": 2, "output_tokens": 1},
            },
        )

    def reply(self, *chunks: str, **how: Any) -> str:
        """A whole answer; the id of its item."""
        response_id = self.begin(in_band=how.get("in_band", True))
        said = self.say(response_id, chunks, **how)
        item = self.finish(said)
        self.end(response_id, [item], in_band=how.get("in_band", True))
        return str(said["item_id"])

    def spoken(self, *chunks: str) -> str:
        """A whole utterance of the user; the id of its item."""
        item_id = self.start_speech()
        self.end_speech(item_id)
        self.transcribe(item_id, chunks, fails=False)
        return item_id


def message(
    item_id: str, role: str, content: list[Frame], status: str = "completed"
) -> Frame:
    """A message as it stands on the wire."""
    return {
        "id": item_id,
        "type": "message",
        "role": role,
        "status": status,
        "content": content,
    }
