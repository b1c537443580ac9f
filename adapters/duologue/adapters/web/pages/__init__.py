"""Browser pages: their commands, their permissions, and a message queue per page."""
