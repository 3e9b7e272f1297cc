"""The file of a bearer token (--admin-token-file).

Whoever can read the file has the token. A private key that others can read is refused by ssh; here
it is a warning. Container platforms hand secrets over as files that everybody inside may read
(Kubernetes with mode 0644, Docker with 0444), where nobody else is, and to refuse them would only
make people copy the secret elsewhere.
"""

import os
import re
import stat
from dataclasses import dataclass
from typing import Final

LEAST_TOKEN: Final = 16
"""Characters. What is shorter is guessed; `openssl rand -hex 32` makes 64."""
LONGEST_TOKEN: Final = 1_024
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""The form of a token in a request's field: b64token of RFC 6750 section 2.1."""


class TokenFileError(Exception):
    """The file holds no token that can be used. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    token: bytes
    note: str = ""
    """Who else can read it, as a sentence; "" if nobody."""


def read_token(path: str) -> TokenFile:
    """Reads the token; blanks and line ends around it are no part of it. Raises TokenFileError."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            token = file.read(LONGEST_TOKEN + 1).strip() if stat.S_ISREG(mode) else b""
    except (OSError, ValueError) as error:  # a path may hold a NUL
        why = error.strerror if isinstance(error, OSError) else error
        raise TokenFileError(f"{path} cannot be read: {why}") from None
    if not stat.S_ISREG(mode):
        raise TokenFileError(f"{path} is no file: it is read again when it changes")
    if not token:
        raise TokenFileError(f"{path} is empty; openssl rand -hex 32 makes a token")
    if len(token) > LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise TokenFileError(
            f"{path} is no token: one line of letters, digits and -._~+/, {LONGEST_TOKEN} at most"
        )
    if len(token) < LEAST_TOKEN:
        raise TokenFileError(
            f"{path} has a token of {len(token)} characters, which can be guessed; at least "
            f"{LEAST_TOKEN} are wanted, and openssl rand -hex 32 makes 64"
        )
    note = f"every user here can read {path}; chmod o= keeps it secret"
    return TokenFile(token, note if mode & stat.S_IROTH else "")


def _without_waiting(path: str, flags: int) -> int:
    """Opens a path, even that of a FIFO, at once."""
    return os.open(path, flags | os.O_NONBLOCK)
