"""Whether a log shows that its commands were carried out."""

from __future__ import annotations

from collections.abc import Iterable

from duologue.core import Record, State, events, react, reduce
from duologue.core.effects.commands import (
    Command,
    Connect,
    Disconnect,
    Send,
    SwitchTo,
    WakeAt,
)
from duologue.core.effects.lifecycle import may_send

__all__ = ["check_carried_out"]


def check_carried_out(records: Iterable[Record]) -> list[Command]:
    """Check the log of one live session, to its end; returns all its commands.

    `react` over the records gives commands, and the records that answer them follow:
    each once, with the same values, in order. Facts that only a command causes have
    one. An event to send may stay unsent if its connection ends.
    """
    log = _Log()
    for record in records:
        log.add(record)
    log.finish()
    return log.commands


class _Log:
    def __init__(self) -> None:
        self.state = State()
        self.commands: list[Command] = []
        self.connects: list[Connect] = []
        self.ends: list[Disconnect] = []
        self.switches: list[int] = []
        self.sends: list[Send] = []
        self.alarm: float | None = None

    def add(self, record: Record) -> None:
        """The next record answers a command, or causes others, or both."""
        self._answer(record)
        before, self.state = self.state, reduce(self.state, record)
        if record.session not in self.state.sessions:
            return
        after = self.state.sessions[record.session].connection.epoch
        earlier = before.sessions.get(record.session)
        if earlier is not None and earlier.connection.epoch != after:
            self.sends = []
        commands = react(before, record, self.state)
        self.commands += commands
        for command in commands:
            match command:
                case Connect():
                    self.connects.append(command)
                case Disconnect():
                    self.ends.append(command)
                case SwitchTo():
                    self.switches.append(command.epoch)
                case Send():
                    self.sends.append(command)
                case WakeAt():
                    self.alarm = command.at

    def _answer(self, record: Record) -> None:
        event, epoch = record.event, record.epoch
        if record.dir == "out":
            return self._answer_send(record)
        match event:
            case events.Connecting(policy=None):
                command = self.connects.pop(0)
                assert command == Connect(
                    record.session,
                    event.reason,
                    epoch,
                    event.attempt,
                    event.successor,
                    command.timeout,
                    event.new_key,
                )
            case events.Disconnected():
                self.ends = [each for each in self.ends if each.epoch != epoch]
            case events.Switched():
                assert self.switches.pop(0) == epoch
            case events.Tick():
                assert self.alarm is not None
                assert self.alarm <= (record.at or 0.0)
                self.alarm = None

    def _answer_send(self, record: Record) -> None:
        for is_last in (False, True):
            lane = [each for each in self.sends if each.is_last is is_last]
            if lane and lane[0].event == record.event:
                self.sends.remove(lane[0])
                return
        # It is an event of the application, so no command waits in its place.
        assert record.event not in [each.event for each in self.sends]

    def finish(self) -> None:
        """No command is left."""
        assert not self.connects
        assert not self.switches
        assert not self.ends
        for session in self.state.sessions.values():
            assert not self.sends or not may_send(session)
