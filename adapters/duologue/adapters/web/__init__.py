"""The web page for several conversations, served alone or by your application.

::

    from duologue.adapters.web import create_app, mount

    mount(app, "/voice", create_app(authenticate=user_name))
"""

from __future__ import annotations

from duologue.transports.errors import MissingExtra

try:
    from .server.web_app import create_app, mount
    from .sessions.limits import Limits
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith("duologue"):
        raise
    raise MissingExtra(
        f"the web page needs {missing.name}: pip install 'duologue[web]'"
    ) from missing
except MissingExtra as missing:
    # The message names the extra of a transport, but the page needs more.
    raise MissingExtra("the web page needs pip install 'duologue[web]'") from missing

__all__ = ["Limits", "create_app", "mount"]
