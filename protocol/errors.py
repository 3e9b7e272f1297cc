"""Errors of a link. Their classes say which side is at fault."""


class ProtocolError(Exception):
    """The link cannot go on. `code` is the number that BYE carries (SPEC.md, section 9)."""

    def __init__(self, reason: str, code: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol: the link ends with BYE."""


class VersionMismatch(RemoteProtocolError):
    """The two sides have no version of the protocol in common."""

    def __init__(self, ours: tuple[int, int], theirs: tuple[int, int], code: int) -> None:
        """`ours` and `theirs` are the lowest and the highest version of each side."""
        super().__init__(
            f"no common version: we speak {ours[0]} to {ours[1]}, "
            f"the peer {theirs[0]} to {theirs[1]}",
            code,
        )
        self.ours = ours
        self.theirs = theirs

    def sentence(self, we: str, peer: str) -> str:
        """Says which side speaks what, such as "a worker speaks ..."."""
        theirs, ours = _versions(self.theirs), _versions(self.ours)
        return f"{peer} speaks {theirs} of the link protocol, and {we} {ours}"

    def remedy(self, we: str, peer: str) -> str:
        older = we if self.ours[1] < self.theirs[0] else peer
        return f"update the image of the {older}, which is the older one"


def _versions(spoken: tuple[int, int]) -> str:
    low, high = spoken
    return f"version {low}" if low == high else f"versions {low} to {high}"


class LocalProtocolError(ProtocolError):
    """Our own side has asked for an illegal move. Nothing was sent."""
