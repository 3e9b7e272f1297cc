"""What repeats is remembered: compared with hpack, which remembers nothing but its table."""

import pytest
from hpack import Decoder, Encoder, HPACKError, OversizedHeaderListError
from hypothesis import given, settings
from hypothesis import strategies as st
from propylon.gateway.http2.field_compression import (
    LARGEST_TABLE,
    LONGEST_KNOWN_FIELD,
    MOST_KNOWN_FIELDS,
    MOST_UPDATES,
    BlockDecoder,
    FieldEncoder,
)
from propylon.gateway.http2.frames import HeadBounds

Fields = list[tuple[bytes, bytes]]
BOUNDS = HeadBounds(100_000, 1_000)
FIELDS = st.tuples(
    st.sampled_from([b":status", b"date", b"server", b"x-a", b"x-b", b"content-length", b"etag"]),
    st.sampled_from([b"", b"1", b"200", b"propylon", b"x" * 60, b"y" * 300, b"z" * 5_000]),
)
STEPS = st.lists(
    st.one_of(st.lists(FIELDS, max_size=6), st.sampled_from([0, 64, 300, 4_096])), max_size=25
)
"""Blocks, and sizes that the client gives the table."""


@settings(max_examples=60)
@given(STEPS)
def test_what_is_encoded_is_what_every_decoder_reads(steps: list[Fields | int]) -> None:
    """The same list again, at once and behind others and other sizes of the table."""
    encoder, decoder = FieldEncoder(), Decoder()
    first: Fields = [(b":status", b"200"), (b"x-a", b"1")]
    for step in steps:
        if isinstance(step, int):
            encoder.header_table_size = step
        else:
            for fields in (first, first, step, step, first):
                assert list(decoder.decode(encoder.block(fields), raw=True)) == fields


@settings(max_examples=60)
@given(STEPS)
def test_every_encoders_blocks_are_decoded(steps: list[Fields | int]) -> None:
    encoder, decoder = Encoder(), BlockDecoder(BOUNDS)
    for step in steps:
        if step == encoder.header_table_size:
            continue  # it would forget to tell of the change before
        if isinstance(step, int):
            encoder.header_table_size = step
        else:
            for _ in range(2):
                assert list(decoder.decode(encoder.encode(step))) == step


def test_a_field_that_comes_again_is_one_byte_and_one_that_varies_enters_no_table() -> None:
    encoder = FieldEncoder()
    fields = [(b":status", b"200"), (b"x-a", b"b"), (b"content-length", b"5")]
    first, second = encoder.encode(fields), encoder.encode(fields)
    assert len(second) == len(first) - len(encoder.encode([(b"x-new", b"b")])) + 2
    assert [name for name, _ in encoder.header_table.dynamic_entries] == [b"x-new", b"x-a"]


def test_a_client_that_changes_the_table_on_and_on_is_told_of_two_changes() -> None:
    """The smallest and the last one (RFC 7541 section 4.2), however long no head is sent."""
    encoder, decoder = FieldEncoder(), Decoder()
    fields = [(b":status", b"200"), (b"x-a", b"b")]
    assert decoder.decode(encoder.encode(fields), raw=True) == fields
    for size in (64, 4_096, 0, 300) * 1_000:
        encoder.header_table_size = size
    block = encoder.encode(fields)
    assert block.startswith(b"\x20\x3f\x8d\x02")  # 0, then 300
    assert len(block) < 20
    assert decoder.decode(block, raw=True) == fields


@pytest.mark.parametrize("count", [0, 1, 2, MOST_UPDATES, MOST_UPDATES + 1, 10_000])
@pytest.mark.parametrize("update", [b"\x20", b"\x3f\x61"])
def test_a_block_changes_the_table_a_few_times_at_most(update: bytes, count: int) -> None:
    block = update * count + b"\x82"
    if count > MOST_UPDATES:
        with pytest.raises(HPACKError):
            BlockDecoder(BOUNDS).decode(block)
    else:
        assert BlockDecoder(BOUNDS).decode(block) == [(b":method", b"GET")]


@settings(max_examples=60)
@given(st.lists(FIELDS, min_size=2, max_size=40), st.booleans())
def test_a_head_with_more_fields_than_are_read_is_refused(fields: Fields, huffman: bool) -> None:
    encoder = Encoder()
    for _ in range(2):  # of new fields, and of known ones
        block = encoder.encode(fields, huffman)
        decoder = BlockDecoder(HeadBounds(1_000_000, len(fields) - 1))
        with pytest.raises(OversizedHeaderListError):
            decoder.decode(block)


def test_a_field_that_would_take_much_of_the_table_is_left_out_of_it() -> None:
    encoder = FieldEncoder()
    encoder.encode([(b"x-a", b"b"), (b"x-long", b"x" * 1_100), (b"x-huge", b"x" * 5_000)])
    assert [name for name, _ in encoder.header_table.dynamic_entries] == [b"x-a"]


def test_a_table_is_no_larger_than_it_is_at_first_whatever_the_client_allows() -> None:
    """Each field is looked for in all of it."""
    encoder, decoder = FieldEncoder(), Decoder()
    for size in (2**32 - 1, 100, 2**32 - 1):
        encoder.header_table_size = size
        for number in range(200):
            fields = [(b"x-nonce", b"%d" % number * 20)]
            assert list(decoder.decode(encoder.encode(fields), raw=True)) == fields
    assert encoder.header_table.maxsize == LARGEST_TABLE == 4_096
    assert len(encoder.header_table.dynamic_entries) < 60


def test_no_more_is_remembered_than_so_many() -> None:
    encoder, decoder = FieldEncoder(), BlockDecoder(BOUNDS)
    for number in range(3 * MOST_KNOWN_FIELDS):
        block = encoder.encode([(b"content-length", b"%d" % number)])
        assert list(decoder.decode(block)) == [(b"content-length", b"%d" % number)]
    long = encoder.encode([(b"etag", b"x" * 2 * LONGEST_KNOWN_FIELD)])
    decoder.decode(long)
    assert len(encoder._known) <= MOST_KNOWN_FIELDS
    assert len(decoder._known) <= MOST_KNOWN_FIELDS
    assert long not in decoder._known


def test_fields_that_were_handed_out_are_the_same_next_time() -> None:
    encoder, decoder = Encoder(), BlockDecoder(BOUNDS)
    decoder.decode(encoder.encode([(b"x-a", b"b")]))
    block = encoder.encode([(b"x-a", b"b")])
    assert decoder.decode(block) is not decoder.decode(encoder.encode([(b"x-c", b"d")]))
    assert list(decoder.decode(block)) != [(b"x-a", b"b")]  # the table has changed
