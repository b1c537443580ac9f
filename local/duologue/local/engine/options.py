"""What kind of service an engine is."""

from __future__ import annotations

import attrs

__all__ = ["Options"]


@attrs.frozen(kw_only=True)
class Options:
    """What kind of service this is.

    ``media``: the user's audio and ours go by a track, not in events. ``label`` says
    in each response's metadata what answers. ``pace``: how many times faster than
    speech the reply's words leave. ``transcript_lag``: seconds from the first word
    of the answer to the end of the user's transcription; None: do not wait.
    ``life``: seconds that a session may last, then it is closed.
    """

    media: bool = False
    label: str = "scripted, not a language model"
    pace: float = 4.0
    transcript_lag: float | None = 0.1
    life: float = 3600.0
