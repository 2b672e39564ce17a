"""Sockets: streams over them, listening, dialling, resolving."""
