"""One door for HTTP and SOCKS."""
