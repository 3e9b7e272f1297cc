import pytest
from h2.utilities import HeaderValidationFlags, validate_headers
from hypothesis import given, settings
from hypothesis import strategies as st
from propylon.gateway.exchange.errors import ResponseError
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.http2.response_fields import ResponseFields
from propylon.protocol.messages import Pairs

DATE = (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")
SERVER = (b"server", b"propylon")
MORE = (b"x-more", b"m")


def ready(more: Pairs = ()) -> ResponseFields:
    return ResponseFields(b"propylon", 0.0, more=more)


def own(heads: ResponseFields, fields: Pairs, status: int = 200) -> list[tuple[bytes, bytes]]:
    """What is sent of an app's fields, with none of ours. Asked twice, since fields are kept."""
    first = heads.head(status, fields)
    assert heads.head(status, fields) == first
    assert first[0][0] == (b":status", b"%d" % status)
    return [field for field in first[0][1:] if field not in (DATE, SERVER)]


def test_a_head() -> None:
    fields, length = ready((MORE,)).head(
        200, ((b"Content-Type", b"a/b"), (b"Content-Length", b"05"))
    )
    assert fields[0] == (b":status", b"200")
    assert fields[1:] == [(b"content-type", b"a/b"), (b"content-length", b"5"), DATE, SERVER, MORE]
    assert length == 5


def test_a_head_without_fields() -> None:
    assert ready().head(404, ()) == ([(b":status", b"404"), DATE, SERVER], None)
    assert ResponseFields(b"", 0.0, dated=False).head(200, ()) == ([(b":status", b"200")], None)
    assert ready().head(299, ())[0][0] == (b":status", b"299")


def test_the_app_s_date_and_server_win() -> None:
    heads = ready((MORE,))
    mine = ((b"Date", b"then"), (b"Server", b"mine"))
    assert heads.head(200, mine)[0][1:] == [(b"date", b"then"), (b"server", b"mine"), MORE]
    assert heads.head(200, ())[0][1:] == [DATE, SERVER, MORE]


def test_the_date_goes_on() -> None:
    heads = ready()
    heads.tick(86_400.0)
    assert (b"date", b"Fri, 02 Jan 1970 00:00:00 GMT") in heads.head(200, ())[0]
    heads = ResponseFields(b"", 0.0, dated=False)
    heads.tick(86_400.0)
    assert heads.head(200, ())[0] == [(b":status", b"200")]


def test_names_in_lower_case_and_values_without_blanks() -> None:
    """RFC 9113 section 8.2.1; HTTP/1 sends such fields as they are."""
    fields = ((b"X-Y", b" \ta b\t "), (b"z", b""), (b"Set-Cookie", b"a"), (b"E", b" "))
    assert own(ready(), fields) == [
        (b"x-y", b"a b"), (b"z", b""), (b"set-cookie", b"a"), (b"e", b""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", [b"connection", b"Keep-Alive", b"proxy-connection", b"Transfer-Encoding", b"upgrade",
             b"te"]
)  # fmt: skip
def test_no_field_about_the_connection(name: bytes) -> None:
    """RFC 9113 section 8.2.2."""
    assert own(ready(), ((b"a", b"b"), (name, b"close"))) == [(b"a", b"b")]
    assert own(ready(), ((name, b"close"),), 426) == []


def test_no_field_that_connection_names() -> None:
    """RFC 9110 section 7.6.1."""
    named = (b"Connection", b"X-Hop , close,content-length, :status, Date")
    fields = ((b"X-HOP", b"1"), (b"a", b"b"), named, (b"content-length", b"5"), (b"x-hop", b"2"))
    assert own(ready(), fields) == [(b"a", b"b"), (b"content-length", b"5")]


def test_content_length() -> None:
    heads = ready()
    five, padded = (b"content-length", b"5"), (b"Content-Length", b"05")
    assert own(heads, (five, padded)) == [five]
    assert heads.head(204, (five,)) == ([(b":status", b"204"), DATE, SERVER], 5)
    assert heads.head(304, (five,))[0][1] == five
    for fields in ((five, (b"content-length", b"6")), ((b"content-length", b"x"),)):
        for _ in range(2):
            with pytest.raises(ResponseError):
                heads.head(200, fields)


@pytest.mark.parametrize("status", [0, 100, 103, 199, 1000])
def test_a_status_that_ends_nothing(status: int) -> None:
    with pytest.raises(ResponseError):
        ready().head(status, ())


BAD = [
    (b":status", b"200"),
    (b"a b", b"c"),
    (b"", b"c"),
    (b"a", b"b\nc"),
    (b"a", b"b\r"),
    (b"a", b"\0"),
]


@pytest.mark.parametrize("field", BAD)
def test_a_field_that_may_not_be_sent(field: tuple[bytes, bytes]) -> None:
    heads = ready()
    for call in (
        lambda: heads.head(200, (field,)),
        lambda: heads.interim(103, (field,)),
        lambda: heads.trailers((field,)),
        lambda: heads.accept((field,)),
        lambda: ready((field,)),
    ):
        for _ in range(2):
            with pytest.raises(ResponseError):
                call()
    with pytest.raises(ResponseError):
        heads.head(200, ((b"date", b"a\nb"),))
    with pytest.raises(ResponseError):
        heads.head(200, ((b"server", b"a\nb"),))


def test_an_interim_head() -> None:
    link = (b"Link", b" </a.css>; rel=preload ")
    fields = ready((MORE,)).interim(103, (link, (b"Content-Length", b"5"), (b"upgrade", b"x")))
    assert fields == [(b":status", b"103"), (b"link", b"</a.css>; rel=preload")]


@pytest.mark.parametrize("status", [100, 101, 200, 99])
def test_an_interim_status_that_is_none(status: int) -> None:
    """RFC 9113 section 8.6: HTTP/2 has no 101."""
    with pytest.raises(ResponseError):
        ready().interim(status, ())


def test_trailers() -> None:
    assert ready((MORE,)).trailers(((b"Grpc-Status", b" 0 "), (b"x", b""))) == [
        (b"grpc-status", b"0"), (b"x", b""),
    ]  # fmt: skip
    for name in (b"Content-Length", b"te", b"Connection", b"Host"):
        with pytest.raises(ResponseError):
            ready().trailers(((name, b"5"),))


def test_the_answer_that_accepts_a_websocket() -> None:
    """RFC 8441 section 5.1."""
    fields = ((b"Content-Length", b"5"), (b"Sec-WebSocket-Protocol", b"chat"), (b"upgrade", b"x"))
    assert ready((MORE,)).accept(fields) == [
        (b":status", b"200"), (b"sec-websocket-protocol", b"chat"), DATE, SERVER, MORE,
    ]  # fmt: skip


def test_what_is_kept_is_bounded() -> None:
    heads = ready()
    for number in range(5_000):
        heads.head(200, ((b"x", b"%d" % number), (b"content-length", b"%d" % number)))
    kept = heads.remembered
    assert 0 < kept <= 4_096
    heads.head(200, ((b"x", b"y" * 300),))
    assert heads.remembered == kept


NAMES = st.sampled_from([
    b"Content-Type", b"x", b"X-Hop", b"Connection", b"content-length", b"Content-Length", b"Date",
    b"server", b"upgrade", b"te", b"transfer-encoding", b"a b", b":status", b"set-cookie",
])  # fmt: skip
VALUES = st.sampled_from(
    [b"5", b"05", b"6", b"", b"x-hop", b"close, x", b" a ", b"a\nb", b"\xff", b"a/b"]
)
FLAGS = HeaderValidationFlags(
    is_client=True, is_trailer=False, is_response_header=True, is_push_promise=False
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([200, 204, 304, 404, 799, 101, 1000]),
    st.lists(st.tuples(NAMES, VALUES), max_size=4).map(tuple),
)
def test_a_client_takes_what_http1_would_send(status: int, fields: Pairs) -> None:
    """What may be sent is the same in both versions, and is valid to h2's client."""
    try:
        _, length, _ = ResponseHeads(b"propylon", 0.0).lines(status, fields)
    except ResponseError:
        with pytest.raises(ResponseError):
            ready().head(status, fields)
        return
    sent, same_length = ready().head(status, fields)
    assert same_length == length
    assert list(validate_headers(sent, FLAGS)) == sent
