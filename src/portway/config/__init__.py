"""The configuration: its schema, how it is read, and where each key stands."""
