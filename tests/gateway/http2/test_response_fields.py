from propylon.gateway.http2.response_fields import ResponseFields

DATE = (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")
SERVER = (b"server", b"propylon")


def ready() -> ResponseFields:
    return ResponseFields(b"propylon", 0.0)


def test_a_head() -> None:
    fields, length = ready().head(
        200, ((b"Content-Type", b" text/plain "), (b"Content-Length", b"05"))
    )
    assert fields == [
        (b":status", b"200"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"5"),
        DATE,
        SERVER,
    ]
    assert length == 5
