"""A transport that records its session, and the files that it writes."""
