"""``duologue replay`` and ``export``: what is made of recorded logs."""
