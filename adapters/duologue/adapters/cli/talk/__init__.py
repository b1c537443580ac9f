"""``duologue talk``: its options, the sessions of it, and what a terminal shows."""
