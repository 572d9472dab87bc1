"""Whether networks that others trained give here the accuracy that is said of them.

    python recipes/check_trained.py FOLDER

FOLDER holds a folder for each network: weights, their task file (docs/tasks.md) with an
``accuracy``, and ``inputs.npz`` with the arrays PART_ids, PART_compare and PART_truth
(`untracr.task.Wanted`) for each part whose accuracy is said. Nothing but the folder is given
to `untracr.load`. The exit code is 0 if every accuracy is the said one to four digits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import untracr
from untracr.errors import UntracrError
from untracr.markdown_table import markdown_table
from untracr.task import Wanted

INPUTS = "inputs.npz"
HEAD = ("network", "inputs", "number", "measured", "said", "same", "load, s", "run, s")


@dataclass(frozen=True)
class Row:
    """One network on one part of its inputs.

    Attributes:
        cells: of the table.
        same: whether the accuracy is the said one.
    """

    cells: tuple[str, ...]
    same: bool


def rows_of(folder: Path) -> Iterator[Row]:
    """A network's rows, one a part."""
    begun = time.process_time()
    try:
        model = untracr.load(folder)
    except UntracrError as error:
        yield Row((folder.name, "", "", "", "", f"no: {error}"[:200], "", ""), same=False)
        return
    loading = f"{time.process_time() - begun:.2f}"
    with np.load(folder / INPUTS, allow_pickle=False) as arrays:
        for part, said in model.told.accuracy.items():
            wanted = Wanted(*(arrays[f"{part}_{name}"] for name in ("ids", "compare", "truth")))
            begun = time.process_time()
            measured = model.accuracy(wanted)
            seconds = f"{time.process_time() - begun:.2f}"
            same = round(measured, 4) == round(said, 4)
            count, answer = str(len(wanted.ids)), "yes" if same else "no"
            shares = f"{measured:.4f}", f"{said:.4f}"
            yield Row((folder.name, part, count, *shares, answer, loading, seconds), same)


def main() -> int:
    """Prints the table, and of how many networks all accuracies are the said ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folders = sorted(path.parent for path in parser.parse_args().folder.glob(f"*/{INPUTS}"))
    by_network = [list(rows_of(folder)) for folder in folders]
    print(markdown_table(HEAD, [row.cells for rows in by_network for row in rows]))
    right = sum(all(row.same for row in rows) for rows in by_network)
    print(f"\n{right} of {len(by_network)} networks have the accuracy that is said of them")
    return 0 if right == len(by_network) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
