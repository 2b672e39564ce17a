"""Portway: the door between a LAN and the outside."""

__version__ = "0.1.0"
