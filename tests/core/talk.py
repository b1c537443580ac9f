"""Records and folds of frames, for tests with hand-written streams."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Literal

import msgspec

from duologue.core import Record, Session, fold
from duologue.core.testing.service_frames import Service, message
from duologue.core.testing.stream import Frame

__all__ = [
    "NODES",
    "POLICY",
    "Frame",
    "Service",
    "audio",
    "changed",
    "fold_frames",
    "message",
    "talked",
    "to_record",
    "to_records",
]

#: The nodes of a session, without the dedup node.
NODES = [name for name in Session.__struct_fields__ if name not in ("id", "dedup")]

#: The policy of a live session, in its first record.
POLICY: Frame = {
    "timeout": 15.0,
    "reconnects": True,
    "first": 0.5,
    "longest": 10.0,
    "patience": 60.0,
    "longest_asked": 120.0,
    "steady": 30.0,
}


def to_record(
    frame: Frame | bytes | str,
    seq: int = 1,
    *,
    session: str = "s",
    at: float | None = 0.0,
    epoch: int = 0,
    dir: Literal["in", "out", "local"] | None = None,
) -> Record:
    """The record of a frame; the default direction follows from its type."""
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
    """The records of frames, 0.1 s apart."""
    return [
        to_record(frame, seq, session=session, at=start + seq / 10)
        for seq, frame in enumerate(frames, start=1)
    ]


def fold_frames(*frames: Frame) -> Session:
    """The session after these frames."""
    return fold(to_records(frames)).sessions["s"]


def changed(before: Session, after: Session) -> list[str]:
    """The nodes that are not the same object, except `dedup`."""
    return [name for name in NODES if getattr(before, name) is not getattr(after, name)]


def audio(count: int) -> str:
    """So many bytes of audio in base64."""
    return base64.b64encode(bytes(count)).decode()


def talked() -> Service:
    """One spoken question and its answer in text."""
    service = Service()
    service.spoken("hello")
    service.reply("good", " day", spoken=False)
    return service
