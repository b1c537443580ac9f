"""The recogniser's process: pocketsphinx behind a pair of pipes.

Run as a file (``python -P asr_sphinx_worker.py``), so that it needs nothing of the
package on its path. pocketsphinx holds the interpreter's lock while it decodes,
up to 0.4 s at the end of an utterance: in the service's own process it would stop
every session's audio. This is the one module that knows it.

Messages are msgspec's MessagePack, each after its length (4 bytes, little-endian).

- In: ``["open", id]``, ``["feed", id, pcm16k]``, ``["finish", id]``, ``["drop", id]``.
- Out: ``["ready"]``, ``["guess", id, text]``, ``["final", id, text]``,
  ``["failed", id, why]``.
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

__all__ = ["LENGTH", "DecoderPool", "best_of"]

#: The length that goes before each message.
LENGTH = struct.Struct("<I")
#: Utterances decoded at once; a decoder takes 0.4 s and 95 MB.
_DECODERS = 2
#: Words of the scripted replies that its dictionary lacks.
_MORE_WORDS = {"duologue": "D UW AH L AO G"}
#: The cepstral mean that each utterance begins with. The decoder would go on with
#: what earlier utterances left, of whatever session, and so hear the same audio
#: differently. It is the running mean (`Decoder.get_cmn`) after three passes over
#: 235 s of speech: 30 sentences of flite's two voices, clean and through Opus, and
#: the examples. The model's own start (40,3,-1) makes more errors.
_SPEECH_MEAN = (
    "39.4915,-1.78511,8.33502,15.8907,3.49831,-0.282475,4.02458,"
    "-6.38972,-6.57736,-4.82474,6.10697,2.354,4.3742"
)
#: Audio held for an utterance that waits for a decoder, in bytes (two minutes).
_WAITING = 120 * 32_000

_Send = Callable[[list[object]], None]


class DecoderPool:
    """Decodes utterances as their audio comes, a few at once.

    An utterance that finds all decoders busy keeps its audio and waits its turn.
    """

    def __init__(self, send: _Send) -> None:
        self._send = send
        self._free: list[Decoder] = []
        self._made = 0
        self._busy: dict[int, Decoder] = {}
        self._waiting: dict[int, deque[bytes | None]] = {}
        self._guesses: dict[int, str] = {}

    def warm(self) -> None:
        """Load the model before the first utterance needs it."""
        self._free.append(self._new_decoder())

    def handle(self, message: list[object]) -> None:
        """Do what one message asks."""
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
        """Take audio, or the end of it (None)."""
        if (waiting := self._waiting.get(utterance)) is not None:
            if sum(len(piece or b"") for piece in waiting) < _WAITING or pcm is None:
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
        """Give a decoder to whoever has waited longest."""
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
        # One pass and every second frame: the final text comes within 10 ms.
        return Decoder(loglevel="FATAL", fwdflat=False, ds=2)


def _words(decoder: Decoder) -> str:
    hypothesis = decoder.hyp()
    return "" if hypothesis is None else hypothesis.hypstr


def best_of(pcm16k: bytes, grammar: str, words: set[str]) -> str:
    """The sentence of a JSGF grammar that an utterance sounds like, or nothing.

    ``words`` are those of the grammar. Raises ValueError for words that the
    dictionary does not have.
    """
    decoder = Decoder(loglevel="FATAL", lm=None)
    for word, sounds in _MORE_WORDS.items():
        decoder.add_word(word, sounds)
    if unknown := sorted(word for word in words if not decoder.lookup_word(word)):
        raise ValueError(f"not in the dictionary: {', '.join(unknown)}")
    decoder.add_jsgf_string("choice", grammar)
    decoder.activate_search("choice")
    decoder.start_utt()
    decoder.process_raw(pcm16k, full_utt=True)
    decoder.end_utt()
    return _words(decoder)


def _read(pipe: BinaryIO) -> list[object] | None:
    """The next message, or None where the pipe was closed."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    body = pipe.read(LENGTH.unpack(head)[0])
    message: list[object] = msgspec.msgpack.decode(body, type=list)
    return message


def main() -> None:
    """Serve until the pipe closes. Ctrl-C is for the parent, which closes it."""
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
