"""A picture that grows with what is drawn: boxes, words and colours."""

from __future__ import annotations

from dataclasses import dataclass, field

from untracr.svg import BACKGROUND, INK, SANS, document, element, xml_text

RULE = "#d5d9de"
RIGHT, WRONG, NEUTRAL = "#009e73", "#d55e00", "#b4bac1"
"""Okabe and Ito's green and vermilion, told apart by colour-blind readers too."""

FULL, NEGATIVE = (0, 74, 134), (150, 60, 0)
"""Red, green and blue of a coefficient of 1, and of -1; 0 is white."""

MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

MONO_WIDTH = 0.602
"""Of a letter, relative to the size of the font."""


def shade(share: float) -> str:
    """The colour of a coefficient from -1 to 1."""
    strength = min(1.0, abs(share)) ** 0.8
    full = FULL if share >= 0 else NEGATIVE
    return "#" + "".join(f"{round(255 + (part - 255) * strength):02x}" for part in full)


def ink_on(share: float) -> str:
    """The colour of words on such a shade."""
    return BACKGROUND if abs(share) > 0.45 else INK


@dataclass
class Drawing:
    """Collects the elements of a picture.

    Attributes:
        elements: what was drawn so far.
        width, height: in pixels; they grow with what is drawn.
    """

    elements: list[str] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0

    def add(self, tag: str, inner: str = "", title: str = "", **attributes: object) -> None:
        """One element; see `element`."""
        self.elements.append(element(tag, inner, title, **attributes))

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        *,
        stroke: str = "none",
        stroke_width: float = 1.0,
        radius: float = 0.0,
        title: str = "",
    ) -> None:
        """A rectangle."""
        self.add(
            "rect",
            title=title,
            x=x,
            y=y,
            width=width,
            height=height,
            fill=fill,
            stroke=stroke,
            stroke_width=stroke_width,
            rx=radius,
        )
        self.width, self.height = max(self.width, x + width), max(self.height, y + height)

    def words(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 12.0,
        *,
        fill: str = INK,
        anchor: str = "start",
        weight: str = "normal",
        mono: bool = False,
        title: str = "",
    ) -> None:
        """A line of text whose baseline is at ``y``."""
        self.add(
            "text",
            xml_text(text),
            title,
            x=x,
            y=y,
            font_size=size,
            fill=fill,
            text_anchor=anchor,
            font_weight=weight,
            font_family=MONO if mono else SANS,
        )
        ahead = {"start": 1.0, "middle": 0.5}.get(anchor, 0.0)
        self.width = max(self.width, x + ahead * MONO_WIDTH * size * len(text))
        self.height = max(self.height, y + 0.3 * size)

    def as_svg(self, title: str, margin: float = 24.0) -> str:
        """The picture, a document of its own."""
        width, height = self.width + margin, self.height + margin
        paper = element(
            "rect", x="0", y="0", width=f"{width:g}", height=f"{height:g}", fill=BACKGROUND
        )
        return document((HATCHED, paper, *self.elements), title, width, height)


HATCHED = (
    '<defs><pattern id="hatched" width="5" height="5" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="5" height="5" fill="#f6f7f8"/>'
    f'<line x1="0" y1="0" x2="0" y2="5" stroke="{RULE}" stroke-width="1.5"/></pattern></defs>'
)
HATCH = "url(#hatched)"
"""Fills what has no counterpart in the program."""
