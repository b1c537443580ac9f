"""What ``talk`` shows on a terminal: a panel for each session, drawn from its state.

Pure: a `Scene` goes in, `draw` gives what rich can print. Only the last lines that fit
are drawn, so a long talk costs no more than a short one.
"""

from __future__ import annotations

import attrs
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from duologue.core import (
    CallLine,
    CallState,
    Problem,
    Session,
    SessionStatus,
    Transcript,
    select_is_muted,
    select_is_speaking,
    select_latest,
    select_problems,
    select_turn,
)

from ..shared.session_report import clean, speaker, spent, spoken

__all__ = ["QUIETEST_DBFS", "Scene", "Seat", "draw"]

#: What a level meter shows as nothing.
QUIETEST_DBFS = -60.0
#: The smallest panel: two borders, the meters, and some lines.
_MIN_WIDTH, _MIN_HEIGHT = 40, 7
#: Problems of a session that are kept in sight, and notes of the command.
_PROBLEMS, _NOTES = 2, 3

_STATUS = {
    SessionStatus.CONNECTING: ("connecting …", "yellow"),
    SessionStatus.OPEN: ("open", "green"),
    SessionStatus.RECONNECTING: ("reconnecting …", "yellow"),
    SessionStatus.CLOSED: ("closed", "dim"),
    SessionStatus.FAILED: ("failed", "red"),
}
_CALL_STYLE = {
    CallState.RUNNING: "yellow",
    CallState.DONE: "green",
    CallState.FAILED: "red",
    CallState.CUT_OFF: "red",
}


@attrs.frozen(kw_only=True)
class Seat:
    """One session on the screen; its levels in dBFS, None where nothing is measured."""

    number: int
    session: Session
    said: float | None = None
    heard: float | None = None


@attrs.frozen(kw_only=True)
class Scene:
    """All that is on the screen.

    ``focus`` is the number of the session that is spoken to; ``typed`` the line that
    is being typed, None where nothing is; ``notes`` what the command itself has said.
    """

    seats: tuple[Seat, ...]
    focus: int = 1
    typed: str | None = None
    notes: tuple[str, ...] = ()

    def is_like(self, other: Scene) -> bool:
        """Whether both look the same, told by what is the same object."""
        return (
            (self.focus, self.typed, self.notes)
            == (other.focus, other.typed, other.notes)
            and len(self.seats) == len(other.seats)
            and all(
                mine.session is its.session
                and (mine.said, mine.heard) == (its.said, its.heard)
                for mine, its in zip(self.seats, other.seats, strict=True)
            )
        )


def draw(scene: Scene) -> RenderableType:
    """The screen, for whatever size it is printed at."""
    return _Screen(scene)


class _Screen:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        footer = self._footer()
        free = max(1, height - len(footer))
        rows, columns = grid(len(self._scene.seats), width, free)
        layout = Layout()
        layout.split_column(
            *(self._row(row, columns) for row in self._shown(rows, columns)),
            Layout(Group(*footer), size=len(footer), visible=bool(footer)),
        )
        yield from console.render(layout, options.update(height=height))

    def _shown(self, rows: int, columns: int) -> list[tuple[Seat, ...]]:
        """Rows of seats; where not all fit, the page with the focus."""
        seats, page = self._scene.seats, rows * columns
        first = (self._scene.focus - 1) // page * page
        shown = seats[first : first + page]
        return [shown[at : at + columns] for at in range(0, len(shown), columns)] or [
            ()
        ]

    def _row(self, seats: tuple[Seat, ...], columns: int) -> Layout:
        row = Layout()
        panels = [Layout(self._panel(seat)) for seat in seats]
        blank = [Layout(Text(" ")) for _ in range(columns - len(panels))]
        row.split_row(*panels, *blank)
        return row

    def _panel(self, seat: Seat) -> Panel:
        is_focus = seat.number == self._scene.focus
        count = len(self._scene.seats)
        return Panel(
            _Talk(seat),
            title=_title(seat, count),
            title_align="left",
            subtitle=Text(spent(seat.session) or "no tokens yet", style="dim"),
            subtitle_align="right",
            border_style="cyan" if is_focus and count > 1 else "dim",
            padding=(0, 1),
        )

    def _footer(self) -> list[Text]:
        scene = self._scene
        lines = [_line(clean(note), style="dim") for note in scene.notes[-_NOTES:]]
        if scene.typed is not None:
            lines.append(_prompt(scene.typed, scene.focus, len(scene.seats)))
        return lines


def grid(count: int, width: int, height: int) -> tuple[int, int]:
    """Rows and columns for so many panels; fewer places where there is no room."""
    count = max(1, count)
    most = max(1, width // _MIN_WIDTH)
    for columns in range(1, min(count, most) + 1):
        rows = -(-count // columns)
        if height // rows >= _MIN_HEIGHT:
            return rows, columns
    return max(1, height // _MIN_HEIGHT), min(count, most)


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _prompt(typed: str, focus: int, count: int) -> Text:
    """The end of what is typed, where the cursor is."""
    to = f"to {focus}> " if count > 1 else "> "
    prompt = Text(to, style="bold", no_wrap=True, overflow="crop")
    return prompt.append(clean(typed)[-200:], style="not bold").append("▏")


def _title(seat: Seat, count: int) -> Text:
    session = seat.session
    name, style = _STATUS[session.connection.status]
    title = Text(f"{seat.number} of {count}  " if count > 1 else "", style="bold")
    title.append(name, style=style)
    if session.connection.reason:
        title.append(f" ({clean(session.connection.reason)})", style="not bold dim")
    model = getattr(session.connection.confirmed, "model", None)
    if isinstance(model, str):
        title.append(f"  {clean(model)}", style="not bold dim")
    return title


class _Talk:
    """The inside of a panel: the talk, its problems, and how loud both sides are."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        height = options.height or console.height
        options = options.reset_height()
        below = console.render_lines(Group(*self._below()), options)[:height]
        free = height - len(below)
        lines = self._latest(console, options, free)
        blank = [[Segment("")] for _ in range(free - len(lines))]
        for line in (*lines, *blank, *below):
            yield from line
            yield Segment.line()

    def _latest(
        self, console: Console, options: ConsoleOptions, height: int
    ) -> list[list[Segment]]:
        """The last lines of the talk, at most ``height``."""
        session = self._seat.session
        room = height * options.max_width
        latest: list[list[Segment]] = []
        for entry in reversed(select_latest(session, height)):
            if len(latest) >= height:
                break
            if isinstance(entry, Transcript):
                text = _said(session, entry, room)
            else:
                text = called(entry, room)
            latest[:0] = console.render_lines(text, options)
        return latest[max(0, len(latest) - height) :]

    def _below(self) -> list[RenderableType]:
        problems = select_problems(self._seat.session)[-_PROBLEMS:]
        return [*map(_problem, problems), _meters(self._seat)]


def _said(session: Session, line: Transcript, room: int) -> Text:
    text = Text(speaker(session, line), style="bold")
    if times := select_turn(session, line.item_id):
        ms = times.first_audio_ms
        ms = times.first_text_ms if ms is None else ms
        if ms is not None:
            text.append(f" {ms:.0f} ms", style="not bold cyan")
    return text.append(": ").append_text(spoken(line, room, silent="…"))


def called(call: CallLine, room: int) -> Text:
    """A call of a tool: its name, its arguments, and how far it is."""
    text = Text("→ ", style="dim")
    where = f"{call.server}: " if call.server else ""
    text.append(clean(f"{where}{call.name}"), style="not dim bold")
    text.append(clean(f"({call.arguments[:room]})"), style="not dim")
    text.append(f"  {call.state.value}", style=_CALL_STYLE.get(call.state, ""))
    if call.error:
        text.append(f": {clean(call.error[:room])}")
    elif call.output is not None:
        text.append(f": {clean(call.output[:room])}")
    return text


def _problem(problem: Problem) -> Text:
    return _line(f"problem: {clean(problem.message)}", style="red")


def _meters(seat: Seat) -> Table:
    """One line: who speaks is set in bold."""
    speaks = select_is_speaking(seat.session)
    meters = Table.grid(expand=True, padding=(0, 1, 0, 0))
    cells: list[RenderableType] = []
    muted = select_is_muted(seat.session)
    for name, role, level in (
        ("you (muted)" if muted else "you", "user", seat.said),
        ("assistant", "assistant", seat.heard),
    ):
        meters.add_column(no_wrap=True)
        meters.add_column(ratio=1)
        cells.append(Text(name, style="bold green" if speaks == role else "dim"))
        cells.append(Text() if level is None else _meter(level))
    meters.add_row(*cells)
    return meters


def _meter(level: float) -> ProgressBar:
    loud = max(0.0, level - QUIETEST_DBFS)
    return ProgressBar(total=-QUIETEST_DBFS, completed=loud, complete_style="green")
