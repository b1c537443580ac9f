"""Token counts by a simple rule, because no real model counts them.

A token is four characters of text, 100 ms of the user's audio or 50 ms of the
assistant's. The input of a response is the instructions and the whole conversation. The
tokens that the previous response already had are cached tokens.
"""

from __future__ import annotations

import attrs

from duologue.core.events import (
    CachedTokenDetails,
    InputTokenDetails,
    OutputTokenDetails,
    ResponseUsage,
)

__all__ = ["TokenCounter", "Tokens", "text_of", "text_tokens"]

_CHARACTERS = 4
_USER_MS = 100
_ASSISTANT_MS = 50


def text_tokens(text: str) -> int:
    """The number of tokens of a text."""
    return -(-len(text) // _CHARACTERS)


def text_of(text: str, tokens: int) -> str:
    """The start of a text, up to ``tokens`` tokens."""
    return text[: max(0, tokens) * _CHARACTERS]


@attrs.frozen
class Tokens:
    """Tokens by modality."""

    text: int = 0
    audio: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.text + other.text, self.audio + other.audio)

    @property
    def total(self) -> int:
        """The sum of text and audio tokens."""
        return self.text + self.audio


class TokenCounter:
    """Counts the tokens of the conversation."""

    def __init__(self) -> None:
        self._held = Tokens()
        self._cached = Tokens()

    def add_text(self, text: str) -> None:
        """A client's item added text to the conversation."""
        self._held += Tokens(text=text_tokens(text))

    def add_audio(self, ms: float) -> None:
        """The user added ``ms`` of audio to the conversation."""
        self._held += Tokens(audio=-(-int(ms) // _USER_MS))

    def respond(
        self, instructions: str, text: str, audio_ms: float, *, keep: bool
    ) -> ResponseUsage:
        """The usage of a response with this text and audio.

        ``keep``: the response becomes part of the conversation.
        """
        given = self._held + Tokens(text=text_tokens(instructions))
        made = Tokens(text_tokens(text), -(-int(audio_ms) // _ASSISTANT_MS))
        cached = Tokens(
            min(self._cached.text, given.text), min(self._cached.audio, given.audio)
        )
        if keep:
            self._held += made
            self._cached = given
        return _usage(given, cached, made)


def _usage(given: Tokens, cached: Tokens, made: Tokens) -> ResponseUsage:
    return ResponseUsage(
        total_tokens=given.total + made.total,
        input_tokens=given.total,
        output_tokens=made.total,
        input_token_details=InputTokenDetails(
            text_tokens=given.text,
            audio_tokens=given.audio,
            image_tokens=0,
            cached_tokens=cached.total,
            cached_tokens_details=CachedTokenDetails(
                text_tokens=cached.text, audio_tokens=cached.audio, image_tokens=0
            ),
        ),
        output_token_details=OutputTokenDetails(
            text_tokens=made.text, audio_tokens=made.audio
        ),
    )
