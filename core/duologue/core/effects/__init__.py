"""Effects: the commands that follow from a record, as values."""
