"""Selectors: pure functions that read one session.

Each takes a `Session` and is named ``select_…``. A selector that builds its result is
memoised for the last 64 sessions: it returns the same object while the nodes that it
reads are the same objects. A selector that only returns a node is not memoised.
"""

from __future__ import annotations

from . import calls, cost, items, reply, session, tail, transcript, turns, usage
from .calls import *
from .cost import *
from .items import *
from .reply import *
from .session import *
from .tail import *
from .transcript import *
from .turns import *
from .usage import *

__all__: list[str] = []
__all__ += calls.__all__
__all__ += cost.__all__
__all__ += items.__all__
__all__ += reply.__all__
__all__ += session.__all__
__all__ += tail.__all__
__all__ += transcript.__all__
__all__ += turns.__all__
__all__ += usage.__all__
