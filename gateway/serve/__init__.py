"""A client connection's life: bytes meet exchanges. `connection` -> `outgoing` -> `service`."""
