"""The media type of a file, by its name. Pure.

Python's own `mimetypes` reads the host's tables, so one site would send `application/javascript`
from one machine and `text/javascript` from the next, or nothing at all in a slim container. This
table is the same everywhere: IANA's types for what sites are made of. Text has a charset, without
which browsers guess one; what has a charset of its own (XML, SVG, JSON) is UTF-8 anyway and gets it
said where readers honour it.
"""

from typing import Final

UNKNOWN_TYPE: Final = "application/octet-stream"
"""The type of all else. Browsers save it, and never run it."""

_UTF_8: Final = "; charset=utf-8"

TYPES: Final[dict[str, str]] = {
    # text
    "css": "text/css" + _UTF_8,
    "csv": "text/csv" + _UTF_8,
    "htm": "text/html" + _UTF_8,
    "html": "text/html" + _UTF_8,
    "ics": "text/calendar" + _UTF_8,
    "js": "text/javascript" + _UTF_8,  # RFC 9239
    "log": "text/plain" + _UTF_8,
    "md": "text/markdown" + _UTF_8,
    "mjs": "text/javascript" + _UTF_8,
    "txt": "text/plain" + _UTF_8,
    "vcf": "text/vcard" + _UTF_8,
    "vtt": "text/vtt" + _UTF_8,
    "xml": "text/xml" + _UTF_8,
    # data
    "atom": "application/atom+xml",
    "geojson": "application/geo+json",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "map": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "rss": "application/rss+xml",
    "toml": "application/toml",
    "wasm": "application/wasm",
    "webmanifest": "application/manifest+json",
    "xhtml": "application/xhtml+xml",
    "xsd": "application/xml",
    "xsl": "application/xml",
    "yaml": "application/yaml",  # RFC 9512
    "yml": "application/yaml",
    # images
    "apng": "image/apng",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "ico": "image/x-icon",  # IANA has another name, which nobody sends
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
    # fonts (RFC 8081)
    "otf": "font/otf",
    "ttc": "font/collection",
    "ttf": "font/ttf",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "eot": "application/vnd.ms-fontobject",
    # sound and pictures that move
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpd": "application/dash+xml",
    "mpeg": "video/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "ts": "video/mp2t",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    # documents and archives
    "7z": "application/x-7z-compressed",
    "apk": "application/vnd.android.package-archive",
    "bz2": "application/x-bzip2",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
    "gz": "application/gzip",
    "jar": "application/java-archive",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}
"""Extension in lower case -> the value of Content-Type."""

_COMPRESSES: Final = frozenset({
    "application/json", "application/wasm", "application/toml", "application/yaml",
    "application/xml", "application/rtf", "application/vnd.ms-fontobject", "font/otf", "font/ttf",
    "font/collection", "image/bmp", "image/x-icon", "application/vnd.apple.mpegurl",
})  # fmt: skip


def media_type(name: str) -> str:
    """The value of Content-Type for a file of that name, by its last extension."""
    _, dot, extension = name.rpartition(".")
    return TYPES.get(extension.lower(), UNKNOWN_TYPE) if dot else UNKNOWN_TYPE


def can_be_compressed(content_type: str) -> bool:
    """Whether a file of that type becomes much smaller, so that somebody may have compressed it
    beforehand. Images, sound, fonts of the web and archives are compressed already."""
    kind = content_type.partition(";")[0]
    return kind.startswith("text/") or kind.endswith(("+xml", "+json")) or kind in _COMPRESSES
