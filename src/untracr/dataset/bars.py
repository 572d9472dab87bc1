"""A bar chart as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

INK, FAINT, BAR = "#1b1f24", "#69717b", "#0072b2"
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
ROW, LEFT, LONGEST, RIGHT, TOP = 24, 190, 360, 110, 48


def bar_chart(title: str, counts: Mapping[str, int]) -> str:
    """One horizontal bar for each count, in the order given, with its number and its share."""
    total, largest = sum(counts.values()), max(counts.values())
    width, height = LEFT + LONGEST + RIGHT, TOP + ROW * len(counts) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="28" font-size="15" font-weight="bold" fill="{INK}">'
        f"{escape(title)}</text>",
    ]
    for row, (name, count) in enumerate(counts.items()):
        y = TOP + ROW * row
        length = max(1.0, LONGEST * count / largest)
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end" fill="{INK}">'
            f"{escape(name)}</text>",
            f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 8}" fill="{BAR}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 14}" fill="{FAINT}">'
            f"{count:,} ({count / total:.1%})</text>",
        ]
    return "\n".join([*lines, "</svg>\n"])
