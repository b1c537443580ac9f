"""The log: records, the lines of a log file, and snapshots of the state."""
