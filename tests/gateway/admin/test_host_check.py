import pytest
from propylon.gateway.admin.host_check import answers_to
from propylon.protocol.messages import Address

OURS = ("build-7", "status.internal")


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("", True),  # HTTP/1.0
        ("127.0.0.1", True),
        ("10.0.0.7", True),  # a tunnel's other end
        ("[::1]", True),
        ("::1", True),
        ("[fe80::1%eth0]", True),
        ("localhost", True),
        ("localhost.", True),
        ("app.localhost", True),
        ("build-7", True),
        ("status.internal", True),
        ("attacker.example", False),
        ("localhost.attacker.example", False),
        ("127.0.0.1.attacker.example", False),
        ("notlocalhost", False),
        ("build-7.attacker.example", False),
    ],
)
def test_names_on_loopback(host: str, answered: bool) -> None:
    for server in (("127.0.0.1", 9180), ("::1", 9180), ("127.9.9.9", 9180)):
        assert answers_to(host, server, OURS) is answered


@pytest.mark.parametrize(
    "server", [None, ("/run/admin.sock", None), ("10.0.0.7", 9180), ("fd00::1", 9180)]
)
def test_elsewhere_any_name_is_answered(server: Address | None) -> None:
    assert answers_to("attacker.example", server, OURS)
