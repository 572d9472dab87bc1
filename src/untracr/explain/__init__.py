"""Models explained: beside a program line by line, or by what they compute inside."""

from __future__ import annotations

from untracr.explain.explained import Explained
from untracr.explain.explanation import Explanation, Held, Line, Output, Pattern
from untracr.explain.explanation_page import page
from untracr.explain.explanation_picture import picture
from untracr.explain.inside import Added, Seen
from untracr.explain.inside_picture import inside_picture
from untracr.explain.look import Inside, explain_result, look_inside
from untracr.explain.side_by_side import explain
from untracr.explain.text import explanation_text

__all__ = [
    "Added",
    "Explained",
    "Explanation",
    "Held",
    "Inside",
    "Line",
    "Output",
    "Pattern",
    "Seen",
    "explain",
    "explain_result",
    "explanation_text",
    "inside_picture",
    "look_inside",
    "page",
    "picture",
]
