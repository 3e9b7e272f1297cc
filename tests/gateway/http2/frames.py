"""Frames of a client as bytes, for tests (RFC 9113 section 6)."""

from propylon.gateway.http.grammar import HTTP2_PREFACE
from propylon.gateway.http2.frames import END_HEADERS, PADDED, FrameKind


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    header = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return header + payload


def headers(stream: int, *, ended: bool = True, block: bytes = b"\x82\x84\x86\x41\x01a") -> bytes:
    """A whole request's head: GET / of http://a."""
    return frame(FrameKind.HEADERS, stream, block, END_HEADERS | ended)


def data(stream: int, payload: bytes, *, ended: bool = False) -> bytes:
    return frame(FrameKind.DATA, stream, payload, int(ended))


def padded(stream: int, payload: bytes, padding: int) -> bytes:
    body = bytes((padding,)) + payload + bytes(padding)
    return frame(FrameKind.DATA, stream, body, PADDED)


SETTINGS = frame(FrameKind.SETTINGS)
BEGINNING = HTTP2_PREFACE + SETTINGS
PING = frame(FrameKind.PING, 0, bytes(8))
