"""How the share of draws that give a new program falls, and what that makes of larger data sets.

    python recipes/new_programs.py DATASET

DATASET is a finished folder of `untracr dataset build`. Its rows tell at which draws a program
appeared that no earlier one was written like. The share of these among the draws is fitted, decade
by decade, as a line in the logarithm of the number of draws, and the line is drawn further.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from untracr.dataset import read_manifest
from untracr.dataset.shard_rows import read_shard
from untracr.markdown_table import markdown_table

LARGER = (10**7, 10**8, 10**9)
"""Sizes that the line is drawn to."""

PARTS = 4
"""How many parts a decade of draws is cut into."""


def new_draws(root: Path) -> npt.NDArray[np.bool_]:
    """[draws], whether each gave a program that the data set holds."""
    manifest = read_manifest(root)
    found = np.zeros(manifest.plan.drawn, dtype=np.bool_)
    for shard in manifest.shards:
        rows = read_shard(root / shard.name, ["index"], name=shard.name)
        found[[row["index"] for row in rows]] = True
    return found


def shares(new: npt.NDArray[np.bool_]) -> tuple[list[int], list[float]]:
    """The share of new ones between each two of some numbers of draws, by the geometric mean."""
    exponents = np.arange(3 * PARTS, int(PARTS * np.log10(len(new))) + 1) / PARTS
    ends = np.unique(np.append(np.round(10**exponents), len(new)).astype(np.int64))
    middles = [int(np.sqrt(float(a) * float(b))) for a, b in pairwise(ends)]
    found = [float(new[a:b].mean()) for a, b in pairwise(ends)]
    return middles, found


def draws_needed(programs: int, slope: float, at_one: float) -> float:
    """Draws that give so many programs, where draw n is new with ``at_one + slope * log10(n)``."""
    step = 1.01
    draws, kept = 1000.0, 1000.0
    while kept < programs:
        share = at_one + slope * np.log10(draws)
        if share <= 0:
            return float("inf")
        kept += draws * (step - 1) * share
        draws *= step
    return draws


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    new = new_draws(parser.parse_args().dataset)
    middles, found = shares(new)
    slope, at_one = np.polyfit(np.log10(middles), found, 1)
    rows = [
        (f"{draw:,}", f"{share:.1%}", f"{at_one + slope * np.log10(draw):.1%}")
        for draw, share in zip(middles, found, strict=True)
    ]
    print(markdown_table(("around draw", "new", "on the line"), rows))
    print(f"\n{len(new):,} draws gave {int(new.sum()):,} programs\n")
    rows = []
    for size in LARGER:
        draws = draws_needed(size, float(slope), float(at_one))
        share = at_one + slope * np.log10(draws)
        rows.append((f"{size:,}", f"{draws:.3g}", f"{share:.0%}"))
    print(markdown_table(("programs", "draws, by the line", "the last of them new"), rows))


if __name__ == "__main__":
    main()
