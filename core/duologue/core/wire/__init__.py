"""The wire format: decoding, encoding, tolerance of malformed and legacy frames."""
