"""HTTP: signalling, keys, and the masking of secrets."""
