"""The status page: one file, and the policy that lets it run and nothing else.

The page loads nothing: its style and its script stand in it. The policy names both by their hashes,
so no other script runs there, whatever text an app or a client brings into the page; and it may
connect to the listener it came from only (https://www.w3.org/TR/CSP3/).
"""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path as FilePath
from typing import Final

PAGE_FILE: Final = FilePath(__file__).with_name("page.html")
_INLINE: Final = rb"<%b(?: [^>]*)?>(.*?)</%b>"


class Page:
    content_type: Final = b"text/html; charset=utf-8"

    def __init__(self, file: FilePath = PAGE_FILE) -> None:
        self.html = file.read_bytes()
        self.policy = page_policy(self.html)
        """Its Content-Security-Policy."""


def page_policy(html: bytes) -> bytes:
    """The Content-Security-Policy of a page whose scripts and styles stand in it."""
    return (
        b"default-src 'none'; script-src %b; style-src %b; connect-src 'self'; "
        b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ) % (_hashes(html, b"script"), _hashes(html, b"style"))


def _hashes(html: bytes, element: bytes) -> bytes:
    inline = re.findall(_INLINE % (element, element), html, re.DOTALL)
    hashes = [b"'sha256-%b'" % b64encode(sha256(text).digest()) for text in inline]
    return b" ".join(hashes) or b"'none'"
