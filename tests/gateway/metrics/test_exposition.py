import shutil
import subprocess
import threading

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from propylon.gateway.metrics import exposition
from propylon.gateway.metrics.exposed import ExposedFamily, Sample, exposed
from propylon.gateway.metrics.exposition import (
    OPENMETRICS_TYPE,
    TEXT_TYPE,
    render,
    render_aside,
    wants_openmetrics,
)
from propylon.gateway.metrics.families import FAMILIES, Family

TIME = Family("t_seconds", "histogram", "Times.", ("pool",), (0.5, 2.0))
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BAD_TEXTS = ['a"b', "a\nb", "a\\b", "a\\nb", "\udcff\udcfe", "\ud800", "ü€😀", "", "\0", "a\rb"]


def one_of_each() -> list[ExposedFamily]:
    return [
        ExposedFamily("x", "counter", "Things.", [Sample("x_total", {"pool": "a"}, 3)]),
        *exposed({"t_seconds": {("a",): [7.25, 1, 2, 3]}}, (TIME,)),
        ExposedFamily("n", "gauge", "Present.", [Sample("n", {}, -0.5)]),
    ]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5", True),
        ("text/plain;q=0.4, application/openmetrics-text;q=0.5", True),
        ("", False),
        ("*/*", False),
        ("text/html,*/*;q=0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
        ("application/openmetrics-text;q=0.4,text/plain", False),
        (",;,;q", False),
    ],
)
def test_which_format_is_preferred(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) == wanted


def test_text() -> None:
    kind, page = render(one_of_each(), "")
    assert kind == TEXT_TYPE
    assert page.decode() == (
        "# HELP x_total Things.\n# TYPE x_total counter\n"
        'x_total{pool="a"} 3.0\n'
        "# HELP t_seconds Times.\n# TYPE t_seconds histogram\n"
        't_seconds_bucket{le="0.5",pool="a"} 1.0\n'
        't_seconds_bucket{le="2.0",pool="a"} 3.0\n'
        't_seconds_bucket{le="+Inf",pool="a"} 6.0\n'
        't_seconds_sum{pool="a"} 7.25\n'
        't_seconds_count{pool="a"} 6.0\n'
        "# HELP n Present.\n# TYPE n gauge\n"
        "n -0.5\n"
    )


def test_openmetrics() -> None:
    kind, page = render(one_of_each(), PROMETHEUS)
    assert kind == OPENMETRICS_TYPE
    assert page.endswith(b"\n# EOF\n")
    assert page.count(b"# EOF") == 1
    read = {family.name: family for family in read_openmetrics(page.decode())}
    assert {name: family.type for name, family in read.items()} == {
        "x": "counter",
        "t_seconds": "histogram",
        "n": "gauge",
    }
    assert read["x"].samples[0].value == 3


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_text_of_a_client_or_an_app_is_rendered_validly(text: str) -> None:
    family = ExposedFamily("x", "gauge", text, [Sample("x", {"pool": text, "b": "c"}, 1)])
    want = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    (found,) = read_openmetrics(render([family], PROMETHEUS)[1].decode())
    assert found.samples[0].labels == {"pool": want, "b": "c"}
    (found,) = read_text(render([family], "")[1].decode())
    assert found.samples[0].labels == {"pool": want, "b": "c"}


@pytest.mark.parametrize("accept", ["", PROMETHEUS])
@pytest.mark.parametrize(
    "broken",
    [
        ExposedFamily("", "gauge", "", [Sample("", {}, 1)]),
        ExposedFamily("y", "sparkline", "", [Sample("y", {}, 1)]),
        ExposedFamily("y", "gauge", "", [Sample("y", {}, "one")]),  # type: ignore[arg-type]
        ExposedFamily("y", "gauge", "", [Sample("y", {"a": 1}, 1)]),  # type: ignore[dict-item]
    ],
)
def test_a_family_that_cannot_be_rendered_is_left_out(broken: ExposedFamily, accept: str) -> None:
    first, *others = one_of_each()
    assert render([first, broken, *others], accept) == render([first, *others], accept)


def test_of_several_families_with_one_name_the_first_is_served() -> None:
    twice = [
        ExposedFamily("x", "gauge", "", [Sample("x", {}, 1)]),
        ExposedFamily("x", "gauge", "", [Sample("x", {}, 2)]),
    ]
    assert render(twice, "")[1].endswith(b"x 1.0\n")


def test_a_name_that_not_every_reader_knows_is_written_with_underscores() -> None:
    names = ["a.b", "a_b", "a b"]
    families = [ExposedFamily(name, "gauge", "", [Sample(name, {}, 1)]) for name in names]
    assert render(families, "")[1] == b"# HELP a_b \n# TYPE a_b gauge\na_b 1.0\n"


async def test_a_large_page_is_made_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def made(families, accept: str) -> tuple[str, bytes]:
        threads.append(threading.current_thread().name)
        return "", b""

    monkeypatch.setattr(exposition, "render", made)
    await render_aside(one_of_each(), "")
    many = [Sample("n", {"a": str(number)}, 1) for number in range(exposition.ASIDE_FROM)]
    await render_aside([ExposedFamily("n", "gauge", "", many)], "")
    main = threading.main_thread().name
    assert [name == main for name in threads] == [True, False]


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs promtool: apt-get install prometheus"
)
def test_promtool_finds_nothing_wrong_with_the_table() -> None:
    snapshot = {
        family.name: {
            ("x",) * len(family.labels): [1.0, *[1.0] * (len(family.buckets) + 1)]
            if family.kind == "histogram"
            else 1.0
        }
        for family in FAMILIES
    }
    page = render(exposed(snapshot), "")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
