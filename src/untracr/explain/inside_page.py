"""A page of what a model computes: the picture, and below it the same as text."""

from __future__ import annotations

from collections.abc import Sequence

from untracr.explain.explanation_page import STYLE
from untracr.explain.inside import Seen
from untracr.explain.inside_picture import inside_picture
from untracr.explain.inside_text import seen_text
from untracr.svg import xml_text


def inside_page(seen: Sequence[Seen], title: str) -> str:
    """A whole HTML document that needs nothing else; see `inside_picture`."""
    texts = "\n".join(map(seen_text, seen))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        f'<head><meta charset="utf-8"><title>{xml_text(title)}</title>'
        f"<style>{STYLE}</style></head>",
        "<body>",
        inside_picture(seen, title),
        f"<pre>{xml_text(texts)}</pre>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"
