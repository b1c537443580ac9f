"""Browser pages: their commands, what each may do, and a message queue for each."""
