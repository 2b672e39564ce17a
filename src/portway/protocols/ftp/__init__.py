"""The FTP proxy."""
