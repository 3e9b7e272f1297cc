"""The gateway's own pages: one sentence, what to do, and the request's id."""

from propylon.gateway.exchange.pages import _kept_text, error_page


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
    assert error_page(404, "Nothing is here.")[1].endswith(b"what is answered here, and by what.\n")


def test_what_differs_between_two_refused_requests() -> None:
    """Parts of a page are kept for the next one."""
    pages = [
        error_page(503, sentence, again, option, name)
        for sentence in ("Full.", "Late.")
        for again in (1, 30)
        for option in ("", "queue-size")
        for name in ("", "0193-a", "0193-bc")
    ]
    assert len(set(pages)) == len(pages)
    for fields, body in pages:
        assert dict(fields)[b"content-length"] == b"%d" % len(body)


def test_what_a_client_has_sent_is_not_kept() -> None:
    kept = _kept_text.cache_info().currsize
    for number in range(10):
        error_page(400, f"The request line is malformed: {number}")
    assert _kept_text.cache_info().currsize == kept
