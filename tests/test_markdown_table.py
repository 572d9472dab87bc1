"""Tables in Markdown hold what they are given."""

from __future__ import annotations

from untracr.markdown_table import markdown_table


def test_cells_stay_apart() -> None:
    """A bar within a cell is no border, and an empty cell is still one."""
    found = markdown_table(["", "share"], [("a | b", 0.5), ("", None)])
    assert found == "| | share |\n| --- | --- |\n| a \\| b | 0.5 |\n| | None |"
