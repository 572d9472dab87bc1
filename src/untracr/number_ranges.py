"""Many numbers in a few words."""

from __future__ import annotations

from collections.abc import Iterable


def numbered(word: str, numbers: Iterable[int]) -> str:
    """``neurons 4-28, 31`` of sorted numbers that follow each other."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    single = len(runs) == 1 and runs[0][0] == runs[0][1]
    shown_runs = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"{word} {shown_runs}" if single else f"{word}s {shown_runs}"
