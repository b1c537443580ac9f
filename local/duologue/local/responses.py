"""The responses that are being made: one in the conversation, any number beside it.

A response waits for the words of the user's last utterances, then for the mind,
then for the voice; its item begins with the first audio. However it ends, there is
one ``response.done``.
"""

from __future__ import annotations

from collections.abc import Callable

from duologue.core.events import (
    AnyItem,
    MessageItem,
    RateLimit,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ResponseError,
    ResponseStatusDetails,
)

from .conversation import Conversation, lines_of
from .jobs import Speak, Stop, Think
from .outbox import Outbox
from .playout import Playout
from .ports import Prompt
from .reply import Plan, Reply
from .usage import Meter

__all__ = ["Responses"]

#: Tokens a minute: this service has no limit, the event has fields.
_LIMIT = 1_000_000

_Source = Callable[[], tuple[AnyItem, ...]]


class Responses:
    """Makes responses and sees each of them to its end."""

    def __init__(
        self,
        outbox: Outbox,
        conversation: Conversation,
        meter: Meter,
        playout: Playout | None,
    ) -> None:
        self._outbox = outbox
        self._conversation = conversation
        self._meter = meter
        self._playout = playout
        self._replies: dict[str, Reply] = {}
        self._sources: dict[str, _Source] = {}
        self._audio_ms: dict[str, int] = {}

    @property
    def active(self) -> Reply | None:
        """The response of the conversation that is under way."""
        running = (reply for reply in self._replies.values() if reply.plan.in_band)
        return next(running, None)

    @property
    def deadline(self) -> float | None:
        """When `advance` has something to do next."""
        times = (reply.deadline for reply in self._replies.values())
        return min((at for at in times if at is not None), default=None)

    def get(self, response: str) -> Reply | None:
        """The response under way of that id."""
        return self._replies.get(response)

    def audio_of(self, item_id: str) -> int | None:
        """The ms of audio made of a spoken item; None of any other."""
        for reply in self._replies.values():
            if reply.item_id == item_id and reply.plan.spoken:
                return reply.audio_ms
        return self._audio_ms.get(item_id)

    def truncate(self, item_id: str, ms: int) -> None:
        """The audio of an item ends here from now on."""
        self._audio_ms[item_id] = ms

    def create(self, plan: Plan, source: _Source, waits: set[str]) -> Reply:
        """Begin a response to ``source``, once the utterances ``waits`` are known."""
        reply = Reply(self._outbox, plan)
        self._replies[reply.id] = reply
        self._sources[reply.id] = source
        self._outbox.emit(ResponseCreated, response=reply.shown("in_progress"))
        reply.waits = waits
        self._think(reply)
        return reply

    def heard(self, utterance: str) -> None:
        """The words of an utterance are known, or never will be."""
        for reply in self._replies.values():
            if utterance in reply.waits:
                reply.waits.discard(utterance)
                self._think(reply)

    def thought(self, response: str, text: str, at: float) -> None:
        """The mind has decided what to say."""
        reply = self._replies.get(response)
        if reply is None or reply.thought:
            return
        words = reply.think(text)
        if reply.plan.spoken:
            self._outbox.ask(Speak(reply.id, words, reply.plan.voice))
        else:
            self._open(reply, at)

    def voiced(self, response: str, pcm24k: bytes, at: float) -> None:
        """More of the reply was spoken."""
        reply = self._replies.get(response)
        if reply is None or not reply.thought or reply.all_voiced:
            return
        if reply.item_id is None:
            self._open(reply, at)
        reply.voiced(pcm24k)
        if self._playout is not None:
            self._playout.write(reply.id, pcm24k)

    def voiced_all(self, response: str, at: float) -> None:
        """The reply was spoken to its end."""
        reply = self._replies.get(response)
        if reply is None or not reply.thought or reply.all_voiced:
            return
        if reply.item_id is None:
            self._open(reply, at)
        reply.all_voiced = True

    def failed(self, response: str, why: str) -> None:
        """The mind or the voice gave up."""
        if (reply := self._replies.get(response)) is not None:
            error = ResponseError(type="server_error", code="failed", message=why)
            details = ResponseStatusDetails(type="failed", error=error)
            self._finish(reply, "failed", details)

    def cancel(self, reply: Reply, reason: str) -> None:
        """End a response before its time."""
        self._outbox.ask(Stop(reply.id))
        details = ResponseStatusDetails(type="cancelled", reason=reason)
        self._finish(reply, "cancelled", details)

    def advance(self, at: float) -> None:
        """Send what is due and end what is complete."""
        for reply in list(self._replies.values()):
            if reply.item_id is None:
                continue
            reply.send(at)
            if reply.finished:
                self._finish(reply, "completed", None)

    def _think(self, reply: Reply) -> None:
        if not reply.waits:
            lines = lines_of(self._sources.pop(reply.id)())
            prompt = Prompt(reply.plan.instructions, lines)
            self._outbox.ask(Think(reply.id, prompt))

    def _open(self, reply: Reply, at: float) -> None:
        item = reply.open()
        if reply.plan.in_band:
            self._conversation.add(item)
        reply.begin(at)
        if self._playout is not None and reply.plan.spoken:
            self._playout.open(reply.id, item.id if reply.plan.in_band else None)

    def _finish(
        self, reply: Reply, status: str, details: ResponseStatusDetails | None
    ) -> None:
        del self._replies[reply.id]
        self._sources.pop(reply.id, None)
        output: tuple[MessageItem, ...] = ()
        if reply.item_id is not None:
            completed = status == "completed"
            item = reply.close("completed" if completed else "incomplete")
            if reply.plan.in_band:
                self._close(reply, item)
            reply.end(item)
            output = (item,)
        usage = self._meter.respond(
            reply.plan.instructions,
            reply.said,
            reply.audio_ms,
            keep=reply.plan.in_band,
        )
        reply.over = True
        shown = reply.shown(status, output=output, details=details, usage=usage)
        self._outbox.emit(ResponseDone, response=shown)
        if self._playout is not None:
            self._playout.finish(reply.id)
        limit = RateLimit(
            name="tokens", limit=_LIMIT, remaining=_LIMIT, reset_seconds=0.0
        )
        self._outbox.emit(RateLimitsUpdated, rate_limits=(limit,))

    def _close(self, reply: Reply, item: MessageItem) -> None:
        """End the item in the conversation, unless the client has deleted it."""
        assert item.id is not None
        if item.id not in self._conversation:
            return
        self._conversation.done(item, by_model=True)
        if reply.plan.spoken:
            self._audio_ms[item.id] = reply.audio_ms
