"""Effects: rules that return commands for a record; a command is plain data."""
