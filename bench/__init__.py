"""Portway measured beside its rivals, in one run on one machine; see README.md."""
