"""The data plane: bytes from one stream to another."""
