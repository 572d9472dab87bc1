"""SVG as text: what is given is escaped, and a picture is well-formed XML."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from untracr.dataset.bars import bar_chart
from untracr.svg import document, element, xml_text

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>\"'&\x00\ud800"


def test_what_is_given_is_escaped() -> None:
    """Markup and characters that XML cannot hold stay text, in words, titles and attributes."""
    shape = element("text", xml_text(HOSTILE), HOSTILE, fill=HOSTILE, font_size=1.5)
    root = ElementTree.fromstring(document([shape], HOSTILE, 10, 20))
    (text,) = root.findall(f"{SVG}text")
    replaced = HOSTILE.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert (text.findtext(f"{SVG}title"), text.get("fill")) == (replaced, replaced)
    assert text[0].tail == replaced
    assert root.findtext(f"{SVG}title") == replaced
    assert [node.tag for node in root.iter() if "script" in str(node.tag)] == []


@pytest.mark.parametrize(("value", "written"), [(2.0, "2"), (1.256, "1.26"), (7, "7"), ("a", "a")])
def test_attributes(value: object, written: str) -> None:
    """Floats are short, and names have hyphens."""
    assert element("rect", "", "", stroke_width=value) == f'<rect stroke-width="{written}"/>'


def test_a_bar_chart_to_the_letter() -> None:
    """Its bytes are part of a data set's."""
    assert bar_chart("a < b", {"x": 3, "&": 1}) == (
        '<svg xmlns="http://www.w3.org/2000/svg" width="660" height="108" viewBox="0 0 660 108" '
        'font-family="system-ui, \'Segoe UI\', Helvetica, Arial, sans-serif" font-size="13" '
        'role="img">\n'
        "<title>a &lt; b</title>\n"
        '<rect width="660" height="108" fill="#ffffff"/>\n'
        '<text x="16" y="28" font-size="15" font-weight="bold" fill="#1b1f24">a &lt; b</text>\n'
        '<text x="182" y="62" text-anchor="end" fill="#1b1f24">x</text>\n'
        '<rect x="190" y="50" width="360.0" height="16" fill="#0072b2"/>\n'
        '<text x="556.0" y="62" fill="#69717b">3 (75.0%)</text>\n'
        '<text x="182" y="86" text-anchor="end" fill="#1b1f24">&amp;</text>\n'
        '<rect x="190" y="74" width="120.0" height="16" fill="#0072b2"/>\n'
        '<text x="316.0" y="86" fill="#69717b">1 (25.0%)</text>\n'
        "</svg>\n"
    )
