"""The commands, one module each, with their options."""
