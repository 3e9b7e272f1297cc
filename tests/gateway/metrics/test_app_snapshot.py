import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.metrics.app_snapshot import AppShape, read_answer
from propylon.protocol.app_metrics import MOST_SAMPLES, FrameError

GOOD = ["good", "counter", "help", "", [["_total"]]]


def shape(*families: Any) -> AppShape:
    return AppShape(json.dumps(families).encode())


WRONG = {
    "no name": ["", "counter", "", "", []],
    "a name that is none": ["a b", "counter", "", "", []],
    "a name with a line feed": ["a\n", "counter", "", "", []],
    "a name that is no text": [7, "counter", "", "", []],
    "a name without end": ["a" * 201, "counter", "", "", []],
    "a kind that is none": ["a", "native", "", "", []],
    "a kind that is no text": ["a", ["counter"], "", "", []],
    "a suffix of another kind": ["a", "counter", "", "", [["_bucket"]]],
    "a sample that is none": ["a", "counter", "", "", [{"a": 1}]],
    "a sample without a suffix": ["a", "counter", "", "", [[]]],
    "a label without a value": ["a", "counter", "", "", [["_total", "x"]]],
    "a label twice": ["a", "counter", "", "", [["_total", "x", "1", "x", "2"]]],
    "a label of Prometheus'": ["a", "counter", "", "", [["_total", "__name__", "1"]]],
    "a label that is none": ["a", "counter", "", "", [["_total", "a-b", "1"]]],
    "a value that is no text": ["a", "counter", "", "", [["_total", "x", 1]]],
    "a value without end": ["a", "counter", "", "", [["_total", "x", "1" * 1_025]]],
    "too many labels": ["a", "gauge", "", "", [["", *(f"l{n // 2}" for n in range(66))]]],
    "a series twice": ["a", "counter", "", "", [["_total"], ["_total"]]],
    "a bucket without a bound": ["a", "histogram", "", "", [["_bucket"]]],
    "a bound that is no number": ["a", "histogram", "", "", [["_bucket", "le", "x"]]],
    "a bound that is not a number": ["a", "histogram", "", "", [["_bucket", "le", "NaN"]]],
    "no last bucket": ["a", "histogram", "", "", [["_bucket", "le", "1"]]],
    "a bound twice": ["a", "histogram", "", "", [
        ["_bucket", "le", "1"], ["_bucket", "le", "1.0"], ["_bucket", "le", "+Inf"]]],
    "a name that is there": ["good", "gauge", "", "", [[""]]],
    "a name that another's sample has": ["good_total", "gauge", "", "", [[""]]],
}  # fmt: skip


@pytest.mark.parametrize("family", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_family_is_left_out_and_the_next_has_its_values(family: list[Any]) -> None:
    last = ["last", "counter", "help", "", [["_total"]]]
    read = shape(GOOD, family, last)
    assert [one.name for one in read.families] == ["good", "last"]
    assert [len(names) for names in read.left_out.values()] == [1]
    assert list(read.left_out) == ["wrong"]
    values = [1.0] + [5.0] * len(family[4]) + [2.0]
    assert read.counters(values) == [1.0, 2.0]


def test_a_name_of_ours_is_left_out() -> None:
    assert shape(["propylon_requests", "counter", "", "", []]).left_out.keys() == {"own_name"}


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"7", b"[7]", b"[[]]", b'[["a","counter","","",7]]', b"[" * 50_000, b"\xff"],
)
def test_families_that_are_none(payload: bytes) -> None:
    with pytest.raises(FrameError):
        AppShape(payload)


def test_too_many_samples() -> None:
    series = [["", "x", str(number)] for number in range(MOST_SAMPLES + 1)]
    with pytest.raises(FrameError):
        shape(["a", "gauge", "", "", series])


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"[1,[1],{},0]", b'["1",[1],{}]', b"[1,[],{}]", b"[1,[1,2],{}]",
        b'[1,["1"],{}]', b"[1,[null],{}]", b"[1,[true],{}]", b"[1,[1],[]]",
        b"[1,[1" + b"0" * 400 + b"],{}]",
    ],
)  # fmt: skip
def test_an_answer_that_is_none(payload: bytes) -> None:
    with pytest.raises(FrameError):
        read_answer(payload, shape(GOOD))


def test_reasons_that_a_worker_makes_up_are_not_counted() -> None:
    said = b'[3,[1],{"failed":2,"x":9,"wrong":"many","too_many":-1,"own_name":7}]'
    assert read_answer(said, shape(GOOD)) == (3, [1.0], {"failed": 2})


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_nothing_that_is_sent_is_a_fault_of_ours(families: bytes, values: bytes) -> None:
    try:
        read_answer(values, AppShape(families))
    except FrameError:
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["counter", "histogram", "_total", "_bucket", "le", "+Inf"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=30,
)  # fmt: skip


@given(st.lists(JSON, max_size=5), st.lists(JSON, max_size=3))
def test_nor_is_any_json(families: Any, values: Any) -> None:
    try:
        read_answer(json.dumps(values).encode(), AppShape(json.dumps(families).encode()))
    except FrameError:
        pass


def test_labels_of_ours_get_another_name() -> None:
    labels = ["pool", "a", "worker", "b", "exported_pool", "c"]
    (family,) = shape(["a", "gauge", "", "", [["", *labels]]]).families
    assert dict(family.series[0].labels) == {
        "exported_exported_pool": "a",
        "exported_worker": "b",
        "exported_pool": "c",
    }


def test_a_text_that_has_no_utf_8() -> None:
    (family,) = shape(["a", "gauge", "h\ud800", "", [["", "x", 'q"\n\udcff']]]).families
    assert family.help == "h?"
    assert family.series[0].labels == (("x", 'q"\n?'),)


def test_buckets_are_taken_apart_in_any_order() -> None:
    bounds = ["+Inf", "5", "1"]
    samples = [["_bucket", "le", bound] for bound in bounds]
    read = shape(["a", "histogram", "", "", [*samples, ["_sum"], ["_count"]]])
    assert read.counters([10.0, 7.0, 4.0, 99.5, 10.0]) == [3.0, 3.0, 4.0, 99.5, 10.0]


def test_what_is_no_finite_number_counts_nothing() -> None:
    read = shape(GOOD, ["b", "counter", "", "", [["_total"]]], ["g", "gauge", "", "", [[""]]])
    for number in ("nan", "inf", "-inf", "1e301", "-1e301"):
        assert read.counters([float(number), 3.0, float("inf")]) == [0.0, 3.0]
