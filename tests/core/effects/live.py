"""A live session for the tests of the effects."""

from __future__ import annotations

from typing import Any

from duologue.core import Record, State, encode, react, reduce
from duologue.core.effects.commands import Command, Reconnect, Send

from ..talk import Frame, Service, to_record

REQUEST: Frame = {"type": "duologue.requested", "event": {"type": "response.create"}}


CREATE = ("response.create",)


class Live:
    """Folds frames as a live client does, and sends the commands that follow."""

    def __init__(self, *, sends: bool = True, epoch: int = 0, name: str = "s") -> None:
        self.state = State()
        self.commands: list[Command] = []
        self.seq = 0
        self.at = 1000.0
        self.sends = sends
        self.epoch = epoch
        self.name = name

    def note(self, frame: Frame | bytes, dir: Any = None) -> tuple[str, ...]:
        """One record; returns the types of the events to send, or reasons."""
        self.seq += 1
        self.at += 0.1
        how: Any = {"at": self.at, "epoch": self.epoch, "dir": dir}
        how["session"] = self.name
        found = self.fold(to_record(frame, self.seq, **how))
        return tuple(map(_name_of, found))

    def fold(self, record: Record) -> tuple[Command, ...]:
        """Fold a record and send the events that follow; returns the commands."""
        before, self.state = self.state, reduce(self.state, record)
        found = react(before, record, self.state)
        self.commands += found
        for command in found if self.sends else ():
            if isinstance(command, Send):
                self.seq = record.seq + 1
                how: Any = {"seq": self.seq, "dir": "out", "at": record.at}
                how |= {"session": record.session, "epoch": record.epoch}
                self.fold(Record.of(encode(command.event), **how))
        return found

    def play(self, service: Service) -> tuple[str, ...]:
        """Note all new frames of the service; returns the results of `note`."""
        frames, service.frames = service.frames, []
        return tuple(name for frame in frames for name in self.note(frame))


def _name_of(command: Command) -> str:
    if isinstance(command, Send):
        return str(command.event.type)
    reason = command.reason if isinstance(command, Reconnect) else None
    return reason or type(command).__name__


def begun(**config: Any) -> tuple[Live, Service]:
    """A live session after `session.created`."""
    live, service = Live(), Service()
    service.created(**config)
    assert live.play(service) == ()
    return live, service


def call(service: Service, response: str, call_id: str, status: str) -> Frame:
    """A function call, up to the end of its item."""
    item: Frame = {"id": f"i_{call_id}", "type": "function_call", "name": "f"}
    item |= {"call_id": call_id, "arguments": "{}", "status": status}
    at = {"response_id": response, "output_index": 0}
    service.send("response.output_item.added", **at, item={**item, "arguments": ""})
    service.send("conversation.item.added", item=item, previous_item_id=None)
    service.send("response.output_item.done", **at, item=item)
    return item


def calling(
    *call_ids: str, live: Live, service: Service, status: str = "completed"
) -> None:
    """A whole response that calls functions."""
    response = service.begin()
    items = [call(service, response, call_id, status) for call_id in call_ids]
    service.end(response, items, status)
    assert live.play(service) == ("RunTool",) * len(call_ids)


def output(live: Live, call_id: str, *, sent: bool = True) -> tuple[str, ...]:
    """The output of a function, sent and confirmed; returns the commands."""
    item: Frame = {"type": "function_call_output", "call_id": call_id, "output": "1"}
    item["id"] = f"o_{call_id}"
    if sent:
        frame: Frame = {"type": "conversation.item.create", "item": item}
        assert live.note({**frame, "event_id": f"e_{call_id}"}, "out") == ()
    echo: Frame = {"item": item, "previous_item_id": None}
    names = live.note({"type": "conversation.item.added", **echo})
    return names + live.note({"type": "conversation.item.done", **echo})
