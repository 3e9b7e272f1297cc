"""The gateway's own pages: one sentence, what to do, and the request's id."""

from propylon.gateway.exchange.pages import error_page


def test_a_page() -> None:
    fields, body = error_page(503, "Nobody is free.", 1, "queue-size", "0193-a")
    assert body.decode() == (
        "503 Service Unavailable\n\nNobody is free.\n"
        "If you run this server, --queue-size sets the limit.\n"
        "\nRequest id: 0193-a\n"
    )
    assert dict(fields) == {
        b"content-type": b"text/plain; charset=utf-8",
        b"content-length": b"%d" % len(body),
        b"retry-after": b"1",
    }


def test_a_page_without_an_id() -> None:
    assert error_page(404, "Nothing is here.")[1].endswith(b"look at its [[routes]].\n")
