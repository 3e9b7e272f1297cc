"""What carries bytes: the poller of all sockets, and a client's socket with and without TLS."""
