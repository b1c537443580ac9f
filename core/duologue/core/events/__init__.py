"""The catalogue: one frozen class for each event type, and for the objects in events.

The modules follow the specification: `session`, `conversation`, `audio`, `response`,
`mcp`, `error`, `translation`. `local` has the local facts; `items`, `config` and
`objects` have the objects inside events.
"""

from __future__ import annotations

from . import (
    audio,
    base,
    config,
    conversation,
    error,
    items,
    local,
    mcp,
    objects,
    response,
    session,
    translation,
)
from .audio import *
from .base import *
from .config import *
from .conversation import *
from .error import *
from .items import *
from .local import *
from .mcp import *
from .objects import *
from .response import *
from .session import *
from .translation import *

__all__: list[str] = []
__all__ += audio.__all__
__all__ += base.__all__
__all__ += config.__all__
__all__ += conversation.__all__
__all__ += error.__all__
__all__ += items.__all__
__all__ += local.__all__
__all__ += mcp.__all__
__all__ += objects.__all__
__all__ += response.__all__
__all__ += session.__all__
__all__ += translation.__all__
