"""The rule for ciphers agrees with the list of RFC 9113 appendix A, where OpenSSL has a name."""

import ssl
from typing import Any, cast

import pytest
from propylon.gateway.tls.http2_ciphers import forbidden, is_forbidden
from propylon.gateway.tls.session import CIPHERS

LISTED = (
    "NULL-SHA", "DES-CBC3-SHA", "AES128-SHA", "AES256-SHA256", "AES128-GCM-SHA256", "AES256-CCM8",
    "CAMELLIA256-SHA", "ADH-AES128-GCM-SHA256", "AECDH-AES128-SHA", "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-NULL-SHA", "DHE-RSA-AES128-SHA256", "DHE-DSS-SEED-SHA",
    "ECDH-RSA-AES128-GCM-SHA256", "DH-RSA-AES256-GCM-SHA384", "PSK-AES128-GCM-SHA256",
    "RSA-PSK-AES256-GCM-SHA384", "DHE-PSK-AES128-CBC-SHA", "ECDHE-PSK-AES128-CBC-SHA256",
    "SRP-RSA-AES-128-CBC-SHA", "IDEA-CBC-SHA", "RC4-MD5", "ECDHE-ECDSA-RC4-SHA",
)  # fmt: skip
NOT_LISTED = (
    *CIPHERS.split(":"), "DHE-RSA-AES128-GCM-SHA256", "DHE-DSS-AES256-GCM-SHA384",
    "DHE-PSK-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-CCM", "DHE-RSA-AES256-CCM8",
    "ECDHE-PSK-CHACHA20-POLY1305", "DHE-RSA-CHACHA20-POLY1305", "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
)  # fmt: skip


@pytest.mark.parametrize("cipher", LISTED)
def test_listed(cipher: str) -> None:
    assert is_forbidden(cipher)


@pytest.mark.parametrize("cipher", NOT_LISTED)
def test_not_listed(cipher: str) -> None:
    assert not is_forbidden(cipher)


def test_every_cipher_of_openssl() -> None:
    """OpenSSL says itself which cipher authenticates as it encrypts, and how keys are exchanged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    rows = cast("list[dict[str, Any]]", context.get_ciphers())
    assert len(rows) > 50
    ephemeral = ("kx-any", "kx-ecdhe", "kx-dhe", "kx-ecdhe-psk", "kx-dhe-psk")
    wrong = {
        row["name"]
        for row in rows
        if is_forbidden(row["name"])
        is (row["aead"] and row["kea"] in ephemeral and row["auth"] != "auth-null")
    }
    assert not wrong
    assert forbidden(row["name"] for row in rows)
