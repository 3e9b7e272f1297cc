"""The bearer token that a request shows, and the file that says which one is right.

A client shows it as `Authorization: Bearer TOKEN` (RFC 6750), or as the password of `Basic` with
any user name (RFC 7617). A browser can do only the latter: it asks for the password once, and then
sends it with every request of the page.

The file is looked at for each request, which costs one stat(2), and read again when it is another
one: a secret is rotated by replacing its file, without anybody telling us. If the new file cannot
be used, the last token that was read stays the right one. A file that is written in place is empty
for a moment, and to let everybody in or nobody at all would be worse.
"""

import base64
import binascii
import hmac
import os
from hashlib import sha256

from ...protocol.messages import Pairs
from ..config.token_file import TokenFileError, read_token
from ..observe.process_log import logger

Identity = tuple[int, int, int, int]
"""What tells one content of a file from another: device, inode, time of change, size."""


class TokenGuard:
    def __init__(self) -> None:
        self._path = ""
        self._identity: Identity | None = None
        self._digest: bytes | None = None
        """Of the right token; None if none was ever read, and then none is right."""

    def admits(self, path: str, headers: Pairs) -> bool:
        """Whether a request with these fields may read what the file at `path` guards; "" guards
        nothing."""
        if not path:
            return True
        self._look(path)
        shown = shown_token(headers)
        if shown is None or self._digest is None:
            return False
        # The time that a comparison takes tells nothing of the token: both are digests.
        return hmac.compare_digest(sha256(shown).digest(), self._digest)

    def _look(self, path: str) -> None:
        try:
            status = os.stat(path)
            identity = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
        except (OSError, ValueError):
            identity = None
        if path == self._path and identity == self._identity:
            return
        if path != self._path:
            self._digest = None
        self._path, self._identity = path, identity
        try:
            token = read_token(path)
        except TokenFileError as error:
            kept = "; the token that was read before stays" if self._digest is not None else ""
            logger.error("--admin-token-file: %s%s", error, kept)
            return
        self._digest = sha256(token.token).digest()


def shown_token(headers: Pairs) -> bytes | None:
    """The token that a request shows; None if it shows none, or shows several."""
    fields = [value for name, value in headers if name == b"authorization"]
    if len(fields) != 1:
        return None
    scheme, _, credentials = fields[0].partition(b" ")
    credentials = credentials.strip(b" ")
    if scheme.lower() == b"bearer":
        return credentials
    if scheme.lower() != b"basic":
        return None
    try:
        pair = base64.b64decode(credentials, validate=True)
    except binascii.Error:
        return None
    _, colon, password = pair.partition(b":")
    return password if colon else None
