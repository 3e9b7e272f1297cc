"""What a folder without an index is answered with, where the operator wants to have it listed.
Pure.

A page that works in every browser and with every screen reader: a heading, a table with heads, no
script. Programs that ask for JSON get what nginx's autoindex gives. Whoever may put a file into the
folder chooses its name, so each name is escaped for where it stands: as text, and as a path of
which no part can be read as a scheme or a query.

A page of thousands of rows takes a good while to make, and it is made anew for everybody who asks.
So the thread makes it that has read the folder, and a listing has an end.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from ....protocol.messages import Pairs
from ...files.validators import http_date
from ...http.negotiation import values_of, weighted

ENTRIES_LISTED: Final = 2_000
"""Entries of a listing. A folder may have millions, and nobody reads them."""
_FIELDS: Final = (
    (b"vary", b"accept"),
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"x-content-type-options", b"nosniff"),
)
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;"
    "max-width:60rem;padding:0 1rem}table{border-collapse:collapse;width:100%}"
    "th{text-align:left}tbody th{font-weight:400;overflow-wrap:anywhere}"
    "td,th{padding:.25rem .75rem .25rem 0}.n{text-align:right;white-space:nowrap}"
)


class Entry(NamedTuple):
    name: bytes
    is_folder: bool
    size: int
    """Bytes."""
    modified: int
    """Whole seconds since the epoch."""


class Listed(NamedTuple):
    """What is in a folder."""

    entries: list[Entry]
    is_whole: bool
    """Whether there are no more."""
    has_parent: bool
    """Whether the folder above is served too."""


class Listing(NamedTuple):
    """The answer."""

    fields: Pairs
    body: bytes


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """Folders first, each kind by name."""
    return sorted(entries, key=lambda entry: (not entry.is_folder, entry.name.lower(), entry.name))


def rendered(listed: Listed, path: bytes, headers: Pairs) -> Listing:
    """The answer to a request of this path, as it came, and these fields."""
    if _wants_json(headers):
        return Listing(((b"content-type", b"application/json"), *_FIELDS), _json(listed))
    kind = (b"content-type", b"text/html; charset=utf-8")
    return Listing((kind, *_FIELDS), _page(listed, path))


def _wants_json(headers: Pairs) -> bool:
    """Whether the client likes JSON better than HTML (RFC 9110 section 12.5.1)."""
    liked = dict(weighted(values_of(headers, b"accept")))
    return liked.get("application/json", 0.0) > liked.get("text/html", 0.0)


def _json(listed: Listed) -> bytes:
    """As of nginx's autoindex_format."""
    rows: list[dict[str, object]] = []
    for entry in listed.entries:
        row: dict[str, object] = {
            "name": entry.name.decode("utf-8", "replace"),
            "type": "directory" if entry.is_folder else "file",
            "mtime": http_date(entry.modified).decode(),
        }
        if not entry.is_folder:
            row["size"] = entry.size
        rows.append(row)
    return json.dumps(rows, ensure_ascii=False, indent=0).encode() + b"\n"


def _page(listed: Listed, path: bytes) -> bytes:
    title = escape(f"Index of {unquote_to_bytes(path).decode('utf-8', 'replace')}")
    rows = [_row(entry) for entry in listed.entries]
    if listed.has_parent:
        rows.insert(0, '<tr><th scope="row"><a href="../">Parent folder</a></th><td></td><td></td>')
    if not listed.is_whole:
        rows.append(f'<tr><th scope="row">More than {len(listed.entries):,} entries</th>')
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<table>
<thead><tr><th scope="col">Name</th><th scope="col" class="n">Bytes</th>\
<th scope="col" class="n">Changed</th></tr></thead>
<tbody>
{"".join(f"{row}</tr>{chr(10)}" for row in rows)}</tbody>
</table>
</main>
</body>
</html>
"""
    return text.encode()


def _row(entry: Entry) -> str:
    slash = "/" if entry.is_folder else ""
    shown = escape(entry.name.decode("utf-8", "replace")) + slash
    size = "" if entry.is_folder else f"{entry.size:,}"
    moment = datetime.fromtimestamp(min(max(entry.modified, 0), 253_402_300_799), UTC)
    return (
        f'<tr><th scope="row"><a href="{quote(entry.name, safe="")}{slash}">{shown}</a></th>'
        f'<td class="n">{size}</td><td class="n"><time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">'
        f"{moment:%Y-%m-%d %H:%M}</time></td>"
    )
