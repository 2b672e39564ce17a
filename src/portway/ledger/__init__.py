"""The request log: one record for each exchange."""
