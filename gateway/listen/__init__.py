"""Listening sockets: TCP and Unix, bound or inherited."""
