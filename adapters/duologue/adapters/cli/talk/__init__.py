"""``duologue talk``: sessions, devices, keyboard and screen."""
