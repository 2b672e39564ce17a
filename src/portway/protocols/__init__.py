"""One folder for each protocol."""
