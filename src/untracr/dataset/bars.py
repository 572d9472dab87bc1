"""A bar chart as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from untracr.svg import BACKGROUND, FAINT, INK, SANS, document, element, xml_text

BAR = "#0072b2"
ROW, LEFT, LONGEST, RIGHT, TOP = 24, 190, 360, 110, 48


def bar_chart(title: str, counts: Mapping[str, int]) -> str:
    """One horizontal bar for each count, in the order given, with its number and its share."""
    width, height = LEFT + LONGEST + RIGHT, TOP + ROW * len(counts) + 12
    heading = element(
        "text", xml_text(title), x=16, y=28, font_size=15, font_weight="bold", fill=INK
    )
    shapes = (
        element("rect", width=width, height=height, fill=BACKGROUND),
        heading,
        *(shape for row in enumerate(counts) for shape in _bar(*row, counts)),
    )
    return document(shapes, title, width, height, font_family=SANS, font_size=13)


def _bar(row: int, name: str, counts: Mapping[str, int]) -> Iterator[str]:
    """A count's name, its bar and its number."""
    total, largest = sum(counts.values()), max(counts.values())
    y, count = TOP + ROW * row, counts[name]
    length = max(1.0, LONGEST * count / largest)
    text = y + 14
    yield element("text", xml_text(name), x=LEFT - 8, y=text, text_anchor="end", fill=INK)
    yield element("rect", x=LEFT, y=y + 2, width=f"{length:.1f}", height=ROW - 8, fill=BAR)
    words = f"{count:,} ({count / total:.1%})"
    yield element("text", words, x=f"{LEFT + length + 6:.1f}", y=text, fill=FAINT)
