"""Conformance: whether a server does what ASGI and PEP 3333 say, sentence by sentence."""
