"""A transport that records, and the files that it writes."""
