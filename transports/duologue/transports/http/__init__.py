"""HTTP: signalling, keys, and the redaction of secrets."""
