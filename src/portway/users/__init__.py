"""Accounts, and who a client is."""
