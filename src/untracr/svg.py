"""SVG as text: elements, and a document of them. Whatever is given is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

INK, FAINT, BACKGROUND = "#1b1f24", "#69717b", "#ffffff"
"""Of words, of words that matter less, and of what is behind them."""

SANS = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"

_ILLEGAL = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Text as it may stand in XML; characters that may not are replaced."""
    return escape(_ILLEGAL.sub("\ufffd", text))


def element(tag: str, inner: str = "", title: str = "", **attributes: object) -> str:
    """One element.

    Args:
        tag: its name.
        inner: what stands in it, as XML.
        title: plain text that is shown where one points at it.
        attributes: ``_`` in a name stands for ``-``; floats are written with two decimals at most.
    """
    words = "".join(
        f" {name.strip('_').replace('_', '-')}={quoteattr(_attribute(value))}"
        for name, value in attributes.items()
    )
    if title:
        inner = f"<title>{xml_text(title)}</title>{inner}"
    return f"<{tag}{words}>{inner}</{tag}>" if inner else f"<{tag}{words}/>"


def document(
    elements: Iterable[str], title: str, width: float, height: float, **attributes: object
) -> str:
    """A whole picture that needs nothing else.

    Args:
        elements: made by `element`, a line each.
        title: plain text.
        width, height: in pixels.
        attributes: of the outermost element besides.
    """
    size = {"width": f"{width:g}", "height": f"{height:g}"}
    box = {"viewBox": f"0 0 {width:g} {height:g}"}
    inner = "\n".join(("", f"<title>{xml_text(title)}</title>", *elements, ""))
    outer = {"xmlns": "http://www.w3.org/2000/svg", **size, **box, **attributes, "role": "img"}
    return element("svg", inner, "", **outer) + "\n"


def _attribute(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return _ILLEGAL.sub("\ufffd", str(value))
