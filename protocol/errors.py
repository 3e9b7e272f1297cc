"""Errors of a link. Their classes say which side is at fault."""


class ProtocolError(Exception):
    """The link cannot go on. `code` is the number that BYE carries (SPEC.md, section 9)."""

    def __init__(self, reason: str, code: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol: the link ends with BYE."""


class LocalProtocolError(ProtocolError):
    """Our own side has asked for an illegal move. Nothing was sent."""
