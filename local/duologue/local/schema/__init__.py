"""The shapes of client events and configurations, and the errors for invalid ones."""
