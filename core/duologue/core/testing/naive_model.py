"""A naive model of a session: plain dicts, without structural sharing.

It supports streams in order, with each event once. For these it must agree with the
reducer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from duologue.core.log.record import Record
from duologue.core.state.model import Session

__all__ = ["Model"]

_INPUT = "conversation.item.input_audio_transcription"

Frame = dict[str, Any]


class Model:
    """One session as dicts: ``items`` by id, and their ``order``.

    >>> from duologue.core import fold
    >>> from .service_frames import Service
    >>> from .stream import to_records
    >>> service, model = Service(), Model()
    >>> item_id = service.spoken("hello")
    >>> stream = to_records(service.frames)
    >>> for record in stream:
    ...     model.take(record)
    >>> model.items[item_id]["texts"]
    {0: 'hello'}
    >>> model.check(fold(stream).sessions["s"])
    """

    def __init__(self) -> None:
        self.items: dict[str, Frame] = {}
        self.order: list[str] = []
        #: The status of each response by id.
        self.responses: dict[str, str] = {}
        self._aside: set[str] = set()
        #: The last item of the earlier connections; new items are placed after it.
        self._anchor: str | None = None

    # --- Records ------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """Apply one record."""
        frame = msgspec.json.decode(record.frame)
        handle = self._HANDLERS.get(frame["type"])
        if handle is not None and record.dir == "in":
            handle(self, frame)
        elif record.event.type == "duologue.disconnected":
            self._lost()
        elif record.event.type == "duologue.connecting" and self.order:
            self._anchor = self.order[-1]

    def _item(
        self, item_id: str, role: str | None = None, response_id: str | None = None
    ) -> Frame:
        """The item; a new one is last, or not in the order if it is out of band."""
        if item_id not in self.items:
            self.items[item_id] = {
                "role": role,
                "status": "in_progress",
                "texts": {},
                "final": set[int](),
                "arguments": "",
                "response": response_id,
            }
            if response_id not in self._aside:
                self.order.append(item_id)
        item = self.items[item_id]
        item["role"] = item["role"] or role
        return item

    def _user_mentioned(self, frame: Frame) -> None:
        item = self._item(frame["item_id"], "user")
        if "previous_item_id" in frame and item["status"] != "deleted":
            self._place(frame["item_id"], frame["previous_item_id"])

    def _place(self, item_id: str, previous: str | None) -> None:
        """Place the item after its predecessor; only the first placement counts.

        An item without a predecessor stays where it arrived.
        """
        if previous is not None and not self.items[item_id].get("placed"):
            self.items[item_id]["placed"] = True
            self.order.remove(item_id)
            at = self.order.index(previous) + 1
            if self._anchor is not None:
                # Items of a new connection are placed after all earlier ones.
                at = max(at, self.order.index(self._anchor) + 1)
            self.order.insert(at, item_id)

    def _added(self, frame: Frame) -> None:
        wire = frame["item"]
        item = self._item(wire["id"], wire.get("role"), frame.get("response_id"))
        if item["status"] == "deleted":
            return
        if frame["type"] == "conversation.item.added":
            self._place(wire["id"], frame["previous_item_id"])
        if item["role"] != "assistant":
            self._write(item, wire)

    def _done(self, frame: Frame) -> None:
        wire = frame["item"]
        item = self._item(wire["id"], wire.get("role"), frame.get("response_id"))
        if item["status"] != "deleted":
            self._write(item, {"status": "completed", **wire})

    def _write(self, item: Frame, wire: Frame) -> None:
        """Apply a wire item; final text does not change."""
        for index, part in enumerate(wire.get("content", ())):
            text = part.get("text") or part.get("transcript") or ""
            if index not in item["final"] and part["type"] != "input_audio":
                item["texts"][index] = text
                item["final"].add(index)
        item["arguments"] = wire.get("arguments") or item["arguments"]
        if item["status"] not in ("incomplete", "failed") and wire.get("status"):
            item["status"] = wire["status"]

    def _listed(self, frame: Frame) -> None:
        self._item(frame["item_id"])

    def _run(self, frame: Frame) -> None:
        self._item(frame["item_id"])["status"] = frame["type"].rpartition(".")[2]

    def _heard(self, frame: Frame) -> None:
        item = self._item(frame["item_id"], "user")
        self._grow(item, frame)

    def _said(self, frame: Frame) -> None:
        item = self._item(frame["item_id"], "assistant", frame["response_id"])
        self._grow(item, frame)

    def _grow(self, item: Frame, frame: Frame) -> None:
        index = frame["content_index"]
        if item["status"] != "deleted" and index not in item["final"]:
            item["texts"][index] = item["texts"].get(index, "") + frame["delta"]

    def _closed(self, frame: Frame) -> None:
        item, index = self._item(frame["item_id"]), frame["content_index"]
        if item["status"] != "deleted":
            item["texts"][index] = frame.get("transcript", frame.get("text"))
            item["final"].add(index)

    def _inaudible(self, frame: Frame) -> None:
        self._item(frame["item_id"], "user")["final"].add(frame["content_index"])

    def _asked(self, frame: Frame) -> None:
        self._item(frame["item_id"])["arguments"] += frame["delta"]

    def _asked_all(self, frame: Frame) -> None:
        self._item(frame["item_id"])["arguments"] = frame["arguments"]

    def _deleted(self, frame: Frame) -> None:
        item = self._item(frame["item_id"])
        item.update(status="deleted", texts={}, arguments="")

    def _lost(self) -> None:
        """Everything in progress becomes incomplete."""
        for response_id, status in self.responses.items():
            if status == "in_progress":
                self.responses[response_id] = "incomplete"
                for item in self.items.values():
                    if (item["response"], item["status"]) == (response_id, status):
                        item["status"] = "incomplete"
        for item_id in self.order:
            item = self.items[item_id]
            if (item["role"], item["status"]) == ("user", "in_progress"):
                item["status"] = "incomplete"

    def _began(self, frame: Frame) -> None:
        response = frame["response"]
        self.responses[response["id"]] = "in_progress"
        if response["conversation_id"] is None:
            self._aside.add(response["id"])

    def _ended(self, frame: Frame) -> None:
        self.responses[frame["response"]["id"]] = frame["response"]["status"]

    _HANDLERS: ClassVar[dict[str, Callable[[Model, Frame], None]]] = {
        "input_audio_buffer.speech_started": _user_mentioned,
        "input_audio_buffer.speech_stopped": _user_mentioned,
        "input_audio_buffer.committed": _user_mentioned,
        "input_audio_buffer.timeout_triggered": _user_mentioned,
        "conversation.item.added": _added,
        "conversation.item.done": _done,
        "conversation.item.deleted": _deleted,
        f"{_INPUT}.delta": _heard,
        f"{_INPUT}.completed": _closed,
        f"{_INPUT}.failed": _inaudible,
        "mcp_list_tools.in_progress": _listed,
        "mcp_list_tools.completed": _run,
        "mcp_list_tools.failed": _run,
        "response.mcp_call.completed": _run,
        "response.mcp_call.failed": _run,
        "response.created": _began,
        "response.done": _ended,
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.output_text.delta": _said,
        "response.output_audio_transcript.delta": _said,
        "response.output_text.done": _closed,
        "response.output_audio_transcript.done": _closed,
        "response.function_call_arguments.delta": _asked,
        "response.mcp_call_arguments.delta": _asked,
        "response.function_call_arguments.done": _asked_all,
        "response.mcp_call_arguments.done": _asked_all,
    }

    # --- Comparison ---------------------------------------------------------------

    def check(self, session: Session) -> None:
        """Raise `AssertionError`, with both values, unless the session agrees."""
        assert self.order == list(session.conversation.order), "the order of items"
        assert set(self.items) == set(session.items), "the ids of items"
        for item_id, mine in self.items.items():
            theirs = session.items[item_id]
            parts = enumerate(theirs.parts)
            texts = {n: str(part.text) for n, part in parts if part.text}
            found = (theirs.role, theirs.status, texts)
            said = {n: text for n, text in mine["texts"].items() if text}
            assert (mine["role"], mine["status"], said) == found, item_id
            call = theirs.call
            if call is not None and call.output is None:
                assert mine["arguments"] == str(call.arguments), item_id
        statuses = {r.id: r.status for r in session.responses.by_id.values()}
        assert self.responses == statuses, "the statuses of responses"
