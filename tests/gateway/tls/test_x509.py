"""Certificates read as `cryptography` reads them."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st
from propylon.gateway.tls.x509 import certificates_in, pem_of, read_certificate

KEY = ec.generate_private_key(ec.SECP256R1())
SHORT = [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.DOMAIN_COMPONENT, NameOID.USER_ID]
FROM, TO = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2050, 1, 2, 3, 4, 5, tzinfo=UTC)


def certificate(
    subject: list[tuple[x509.ObjectIdentifier, str]],
    names: tuple[str, ...] = (),
    not_after: datetime = TO,
) -> x509.Certificate:
    attributes = [x509.NameAttribute(oid, text) for oid, text in subject]
    name = x509.Name(attributes)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([]))
        .public_key(KEY.public_key())
        .serial_number(17)
        .not_valid_before(FROM)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if names:
        alternatives = [x509.DNSName(text) for text in names]
        alternatives.insert(1, x509.RFC822Name("me@example.com"))  # pyright: ignore
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(KEY, hashes.SHA256())


def der(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.DER)


def test_names_and_dates() -> None:
    one = certificate([(NameOID.COMMON_NAME, "not.asked")], ("Example.com", "*.example.com"))
    read = read_certificate(der(one))
    assert read.names == ("example.com", "*.example.com")
    assert read.not_before == FROM.timestamp()  # UTCTime
    assert read.not_after == TO.timestamp()  # GeneralizedTime, from 2050 on


def test_a_year_of_two_digits_ends_in_2049() -> None:
    last = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert read_certificate(der(certificate([], not_after=last))).not_after == last.timestamp()


def test_the_common_name_serves_where_there_is_no_other() -> None:
    assert read_certificate(der(certificate([(NameOID.COMMON_NAME, "Old.test")]))).names == (
        "old.test",
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(SHORT),
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
        ),
        max_size=3,
    )
)
@example([(NameOID.COMMON_NAME, "\\ ")])
@example([(NameOID.COMMON_NAME, " ")])
def test_subjects_as_rfc_4514_writes_them(
    subject: list[tuple[x509.ObjectIdentifier, str]],
) -> None:
    one = certificate(subject)
    assert read_certificate(der(one)).subject == one.subject.rfc4514_string()


def test_a_type_without_a_short_name_is_written_in_hex() -> None:
    one = certificate([(NameOID.EMAIL_ADDRESS, "a@b.c"), (NameOID.COUNTRY_NAME, "DE")])
    assert read_certificate(der(one)).subject == "C=DE,1.2.840.113549.1.9.1=#16056140622e63"


def test_pem_there_and_back() -> None:
    one = certificate([])
    pem = one.public_bytes(serialization.Encoding.PEM)
    assert pem_of(der(one)) == pem.decode()
    assert certificates_in(b"a key before it\n" + pem + pem) == [der(one)] * 2


def test_whatever_is_cut_off_is_no_certificate() -> None:
    whole = der(certificate([(NameOID.COMMON_NAME, "a")], ("a.test",)))
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="not a certificate"):
            read_certificate(whole[:length])


@given(st.binary(max_size=60), st.integers(0, 300))
def test_no_bytes_are_too_strange(noise: bytes, at: int) -> None:
    whole = der(certificate([(NameOID.COMMON_NAME, "a")], ("a.test",)))
    try:
        read_certificate(whole[:at] + noise + whole[at + len(noise) :])
    except ValueError:
        pass
