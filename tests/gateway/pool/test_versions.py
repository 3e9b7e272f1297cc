"""How long a worker of another version is a problem."""

from propylon.gateway.pool.versions import COMES_AGAIN, OtherVersions
from propylon.protocol.errors import VersionMismatch


def test_it_is_over_when_such_a_worker_comes_no_more() -> None:
    versions = OtherVersions("web")
    assert list(versions.at(0.0)) == []
    versions.refused(VersionMismatch((1, 1), (2, 3), 2), 1.0)
    (one,) = versions.at(2.0)
    assert one.what == (
        "no link: a worker of pool web speaks versions 2 to 3 of the link protocol, and this "
        "gateway version 1"
    )
    assert one.remedy == "update the image of the gateway, which is the older one"
    assert list(versions.at(1.0 + COMES_AGAIN)) == []
