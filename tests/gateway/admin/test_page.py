import base64
import hashlib
import re
from pathlib import Path

import pytest
from propylon.gateway.admin import page
from propylon.gateway.admin.history import COLUMNS
from propylon.gateway.admin.page import Page

FOLDER = Path(page.__file__).parent
HTML, CSS, JS = ((FOLDER / f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
SCHEMES = ("light", "dark")


def directives() -> dict[str, str]:
    return dict(one.split(" ", 1) for one in Page().policy.decode().split("; "))


@pytest.mark.parametrize(
    ("element", "directive"), [("script", "script-src"), ("style", "style-src")]
)
def test_the_policy_lets_in_what_stands_in_the_page(element: str, directive: str) -> None:
    (text,) = re.findall(rf"<{element}>(.*?)</{element}>", Page().html.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert directives()[directive] == f"'sha256-{digest}'"


def test_the_policy_lets_nothing_else_in() -> None:
    policy = directives()
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("connect-src") == "'self'"
    assert policy.pop("img-src") == "data:"
    assert policy.pop("require-trusted-types-for") == "'script'"
    del policy["script-src"], policy["style-src"]
    assert set(policy.values()) == {"'none'"}
    assert policy.keys() == {"base-uri", "form-action", "frame-ancestors", "trusted-types"}


def test_nothing_comes_from_outside() -> None:
    there = set(re.findall(r"https?://[^\s'\"`)]+", HTML + CSS + JS))
    assert there == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"@import|url\(|\bsrc=", HTML + CSS)
    assert not re.search(r"\sstyle=|\son\w+=", HTML)  # the policy would forbid it


def test_text_is_never_made_html() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|eval\(", JS)


def test_the_script_finds_what_it_looks_for() -> None:
    wanted = set(re.findall(r'byId\("([\w-]+)"\)', JS))
    assert wanted <= set(re.findall(r'\bid="([\w-]+)"', HTML))
    columns = set(re.findall(r'column: "(\w+)"', JS)) | set(re.findall(r'of\("(\w+)"\)', JS))
    assert columns <= set(COLUMNS)


# -- contrast, as WCAG 2.2 reckons it (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio) ----------


def colours(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#\w{6});", light))
    return found | (dict(re.findall(r"--([\w-]+): (#\w{6});", dark)) if scheme == "dark" else {})


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [
        one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


ON = {
    # Text -> what it stands on
    "ink": ("ground", "sheet", "soft", "red-soft", "amber-soft", "blue-soft"),
    "quiet": ("ground", "sheet", "soft"),
    "blue": ("ground", "sheet", "amber-soft"),
    "red": ("sheet", "red-soft"),
    "amber": ("ground", "sheet", "amber-soft"),
    "green": ("green-soft",),
    "violet": ("sheet",),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read(scheme: str) -> None:
    colour = colours(scheme)
    pairs = [(text, under) for text, unders in ON.items() for under in unders]
    ratios = {pair: contrast(colour[pair[0]], colour[pair[1]]) for pair in pairs}
    assert not {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < 4.5}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_lines_and_marks_can_be_seen(scheme: str) -> None:
    colour = colours(scheme)
    for line in ("blue", "red", "amber", "violet", "green", "quiet"):
        assert contrast(colour[line], colour["sheet"]) >= 3


def test_contrast_of_black_on_white() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
