"""The worker process of speech recognition: pocketsphinx, controlled over two pipes.

It runs as a file (``python -P asr_sphinx_worker.py``) and imports nothing from this
package. pocketsphinx holds the GIL while it decodes, up to 0.4 s at the end of an
utterance: in the service's process it would interrupt the audio of all sessions.

A message has a length (4 bytes, little-endian) and a list in MessagePack. ``id`` is
the number of an utterance, ``guess`` an interim transcript.

- In: ``["open", id]``, ``["feed", id, PCM16 at 16 kHz]``, ``["finish", id]``,
  ``["drop", id]``.
- Out: ``["ready"]``, ``["guess", id, text]``, ``["final", id, text]``,
  ``["failed", id, reason]``.
"""

from __future__ import annotations

import signal
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

import msgspec
from pocketsphinx import Decoder

__all__ = ["LENGTH", "DecoderPool"]

#: The length in front of each message.
LENGTH = struct.Struct("<I")
#: The number of decoders. Each takes 0.4 s to load, and 95 MB.
_DECODERS = 2
#: The initial cepstral mean of each utterance. Without it a decoder continues with the
#: mean of its last utterance, so the text depends on other sessions. The value is
#: `Decoder.get_cmn` of a decoder that has decoded the same 235 s of speech three times:
#: the WAV files of `examples`, and 30 sentences in two voices of flite, each with and
#: without Opus. The model's default (40,3,-1) gives more errors.
_SPEECH_MEAN = (
    "39.4915,-1.78511,8.33502,15.8907,3.49831,-0.282475,4.02458,"
    "-6.38972,-6.57736,-4.82474,6.10697,2.354,4.3742"
)
#: The most bytes of audio that a queued utterance keeps: two minutes.
_MAX_QUEUED = 120 * 32_000

_Send = Callable[[list[object]], None]


class DecoderPool:
    """Decodes up to `_DECODERS` utterances at a time, while their audio arrives.

    If all decoders are busy, an utterance is queued with its audio.
    """

    def __init__(self, send: _Send) -> None:
        self._send = send
        self._free: list[Decoder] = []
        self._made = 0
        self._busy: dict[int, Decoder] = {}
        self._waiting: dict[int, deque[bytes | None]] = {}
        self._guesses: dict[int, str] = {}

    def warm(self) -> None:
        """Load the model before the first utterance."""
        self._free.append(self._new_decoder())

    def handle(self, message: list[object]) -> None:
        """Handle a message of the parent."""
        match message:
            case ["open", int(utterance)]:
                self._open(utterance)
            case ["feed", int(utterance), bytes(pcm)]:
                self._feed(utterance, pcm)
            case ["finish", int(utterance)]:
                self._feed(utterance, None)
            case ["drop", int(utterance)]:
                self._drop(utterance)

    def _open(self, utterance: int) -> None:
        decoder = self._decoder()
        if decoder is None:
            self._waiting[utterance] = deque()
            return
        decoder.set_cmn(_SPEECH_MEAN)
        decoder.start_utt()
        self._busy[utterance] = decoder

    def _feed(self, utterance: int, pcm: bytes | None) -> None:
        """Add audio; None ends the utterance."""
        if (waiting := self._waiting.get(utterance)) is not None:
            if pcm is None or sum(map(len, filter(None, waiting))) < _MAX_QUEUED:
                waiting.append(pcm)
        elif (decoder := self._busy.get(utterance)) is not None:
            if pcm is None:
                self._finish(utterance, decoder)
            else:
                decoder.process_raw(pcm)
                self._guess(utterance, decoder)

    def _guess(self, utterance: int, decoder: Decoder) -> None:
        words = _words(decoder)
        if words and self._guesses.get(utterance) != words:
            self._guesses[utterance] = words
            self._send(["guess", utterance, words])

    def _finish(self, utterance: int, decoder: Decoder) -> None:
        try:
            decoder.end_utt()
            self._send(["final", utterance, _words(decoder)])
        except RuntimeError as error:
            self._send(["failed", utterance, str(error)])
        self._release(utterance)

    def _drop(self, utterance: int) -> None:
        self._waiting.pop(utterance, None)
        if (decoder := self._busy.get(utterance)) is not None:
            decoder.end_utt()
            self._release(utterance)

    def _release(self, utterance: int) -> None:
        """Free the decoder and start the next queued utterance."""
        self._free.append(self._busy.pop(utterance))
        self._guesses.pop(utterance, None)
        if self._waiting:
            following = next(iter(self._waiting))
            held = self._waiting.pop(following)
            self._open(following)
            for pcm in held:
                self._feed(following, pcm)

    def _decoder(self) -> Decoder | None:
        if self._free:
            return self._free.pop()
        return self._new_decoder() if self._made < _DECODERS else None

    def _new_decoder(self) -> Decoder:
        self._made += 1
        # For speed, there is no second search pass (`fwdflat`), and only every second
        # frame is scored (`ds`). The final text takes less than 10 ms after the audio.
        return Decoder(loglevel="FATAL", fwdflat=False, ds=2)


def _words(decoder: Decoder) -> str:
    hypothesis = decoder.hyp()
    return "" if hypothesis is None else hypothesis.hypstr


def _read(pipe: BinaryIO) -> list[object] | None:
    """The next message; None if the pipe is closed."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    body = pipe.read(LENGTH.unpack(head)[0])
    message: list[object] = msgspec.msgpack.decode(body, type=list)
    return message


def main() -> None:
    """Run until the parent closes the pipe. Ignores Ctrl-C: the parent handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = sys.stdout.buffer

    def send(message: list[object]) -> None:
        body = msgspec.msgpack.encode(message)
        out.write(LENGTH.pack(len(body)) + body)
        out.flush()

    recogniser = DecoderPool(send)
    recogniser.warm()
    send(["ready"])
    while (message := _read(sys.stdin.buffer)) is not None:
        recogniser.handle(message)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
