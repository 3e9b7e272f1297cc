"""A client connection's life: bytes meet exchanges.

Reading order: `state` -> `outgoing`, `upload` -> `connection` -> `service`.
"""
