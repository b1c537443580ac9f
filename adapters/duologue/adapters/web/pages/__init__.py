"""Pages: their commands, the rules for them, and the queue of messages to each."""
