"""The status page: one document without anything from outside, and the policy that keeps it so.

What stands on the page comes from apps and from clients: paths, reasons, names. The page sets it as
text and never as HTML, and the browser is told to hold it to that: it runs the one script and the
one style of the page, known by their hashes, and no other; it makes no HTML of strings (Trusted
Types); it asks nobody but the listener that the page came from; and no other site may frame it
(https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/).

The page is written in three files beside this one, and becomes one when it is loaded.
"""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

STYLE: Final = ("<style>", "</style>")
SCRIPT: Final = ("<script>", "</script>")


class Page:
    content_type: Final = b"text/html; charset=utf-8"

    def __init__(self) -> None:
        """Reads the page's files. Raises OSError if the package lacks one."""
        html, css, js = (_read(f"page.{kind}") for kind in ("html", "css", "js"))
        self.html = _filled(_filled(html, STYLE, css), SCRIPT, js).encode()
        self.policy = page_policy(css, js)
        """Its Content-Security-Policy."""


def page_policy(css: str, js: str) -> bytes:
    """The Content-Security-Policy of a page with this one style and this one script."""
    directives = {
        "default-src": "'none'",
        "script-src": _hash(js),
        "style-src": _hash(css),
        "img-src": "data:",  # its icon, which is written into the page
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items()).encode("ascii")


def _read(name: str) -> str:
    return files(__package__ or __name__).joinpath(name).read_text("utf-8")


def _filled(html: str, element: tuple[str, str], text: str) -> str:
    """The document with a text in its one empty style or script element."""
    begin, end = element
    before, after = html.split(begin + end)
    return f"{before}{begin}{text}{end}{after}"


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
