"""``duologue doctor``: what works on this machine and what does not."""
