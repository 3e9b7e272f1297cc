"""PEP 3333's environ: native texts, the path and its mount point, and what is known of TLS."""

import itertools

import pytest
from propylon.protocol.messages import Scope
from propylon.worker.wsgi.environ import wsgi_environ

CHAIN = ("the client's", "its issuer's", "the root's")
TLS = {
    "server_cert": "ours", "client_cert_chain": CHAIN, "client_cert_name": "CN=J\u00fcrgen",
    "client_cert_error": None, "tls_version": 0x0304, "cipher_suite": 0x1301,
}  # fmt: skip


def about(
    path: bytes = b"/", root: str = "", query: bytes = b"", scheme: str = "http", tls: object = None
) -> Scope:
    headers = ((b"host", b"h"), (b"x-name", b"J\xc3\xbcrgen"))
    more = None if tls is None else {"tls": tls}
    return ("http", "1.1", "GET", scheme, path, query, root, headers, None, ("h", 80), more)


@pytest.mark.parametrize(
    ("path", "root", "script_name", "path_info"),
    [
        (b"/a", "", "", "/a"),
        (b"/", "", "", "/"),
        (b"/caf%C3%A9/%E4%B8%AD", "", "", "/caf\u00c3\u00a9/\u00e4\u00b8\u00ad"),
        (b"/%ff", "", "", "/\xff"),
        (b"/a%2Fb", "", "", "/a/b"),
        (b"/a%252Fb", "", "", "/a%2Fb"),
        (b"/a+b", "", "", "/a+b"),
        (b"/m", "/m", "/m", ""),
        (b"/m/", "/m", "/m", "/"),
        (b"/m/a", "/m", "/m", "/a"),
        (b"/mm", "/m", "/m", "/mm"),
        (b"/caf%C3%A9/x", "/caf\u00e9", "/caf\u00c3\u00a9", "/x"),
        (b"/caf%c3%a9/caf%C3%A9", "/caf\u00e9", "/caf\u00c3\u00a9", "/caf\u00c3\u00a9"),
        (b"/a%20b/c", "/a b", "/a b", "/c"),
        (b"/x", "/caf\u00e9", "/caf\u00c3\u00a9", "/x"),  # a proxy has taken the mount point off
    ],
)
def test_the_path_behind_its_mount_point(
    path: bytes, root: str, script_name: str, path_info: str
) -> None:
    found = wsgi_environ(about(path, root, b"q=%C3%A9"))
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == (script_name, path_info)
    assert found["REQUEST_URI"] == found["RAW_URI"] == f"{path.decode()}?q=%C3%A9"
    assert found["QUERY_STRING"] == "q=%C3%A9"


def test_its_texts_are_native() -> None:
    found = wsgi_environ(about(b"/%E4%B8%AD", "/\u4e2d", scheme="https", tls=TLS))
    assert type(found) is dict
    texts = [value for key, value in found.items() if not key.startswith("wsgi.")]
    assert {type(text) for text in itertools.chain(found, texts)} == {str}
    for text in texts:
        text.encode("latin-1")
    assert found["HTTP_X_NAME"].encode("latin-1") == "J\u00fcrgen".encode()


def variables(scheme: str, tls: object) -> dict[str, object]:
    found = wsgi_environ(about(scheme=scheme, tls=tls))
    return {key: value for key, value in found.items() if key.startswith(("SSL_", "HTTPS"))}


def test_what_is_known_of_tls() -> None:
    assert variables("https", TLS) == {
        "HTTPS": "on",
        "SSL_PROTOCOL": "TLSv1.3",
        "SSL_CIPHER": "TLS_AES_128_GCM_SHA256",
        "SSL_SERVER_CERT": "ours",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": CHAIN[0],
        "SSL_CLIENT_CERT_CHAIN_0": CHAIN[1],
        "SSL_CLIENT_CERT_CHAIN_1": CHAIN[2],
        "SSL_CLIENT_S_DN": "CN=J\u00c3\u00bcrgen",
    }


def test_what_is_not_known_of_tls_is_not_said() -> None:
    assert variables("http", None) == {}
    assert variables("http", TLS) == {}  # a trusted proxy knows that its client had none
    assert variables("https", None) == {"HTTPS": "on"}
    nothing = {**dict.fromkeys(TLS), "client_cert_chain": ()}
    assert variables("https", nothing) == {"HTTPS": "on", "SSL_CLIENT_VERIFY": "NONE"}
    unknown = {**nothing, "tls_version": 0x0399, "cipher_suite": 0x9999}
    assert variables("https", unknown) == {"HTTPS": "on", "SSL_CLIENT_VERIFY": "NONE"}
    failed = {**nothing, "client_cert_error": "expired"}
    assert variables("https", failed)["SSL_CLIENT_VERIFY"] == "FAILED:expired"


@pytest.mark.parametrize(
    ("version", "protocol"), [("1.0", "HTTP/1.0"), ("1.1", "HTTP/1.1"), ("2", "HTTP/2.0")]
)
def test_a_protocol_has_two_numbers(version: str, protocol: str) -> None:
    kind, _, *rest = about()
    assert wsgi_environ((kind, version, *rest))["SERVER_PROTOCOL"] == protocol
