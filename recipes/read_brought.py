"""How the programs that people bring (tests/brought.py) are read off Tracr's own weights.

    python recipes/read_brought.py --budget 2 --every 1

Each is compiled by the real Tracr and decompiled twice: from a file with the
weights alone, and from one with the read-out beside them, the tokens' values
given. What is shown as proved is judged by Tracr alone (tests/brought_judge.py).
Needs the test extras; run it in the repository's root.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from brought import BROUGHT, Brought
from brought_judge import compiled, fault, printed, same_outputs, save_weights, save_with_read_out
from untracr import decompile_model
from untracr.errors import UntracrError
from untracr.markdown_table import markdown_table


def read(brought: Brought, *, read_out: bool, budget: float) -> list[str]:
    """One row of the table: verdict, what is false, how outputs compare, seconds, the detail."""
    given = compiled(brought)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{brought.name}.npz"
        (save_with_read_out if read_out else save_weights)(given, path)
        begun = time.process_time()
        try:
            answer = decompile_model(path, vocab=given.tokens if read_out else None, budget=budget)
        except UntracrError as error:
            return [brought.name, "refused", "", "", "0.00", str(error)[:100]]
    seconds = time.process_time() - begun
    wrong = fault(given, answer, read_out=read_out)
    outputs = ""
    if answer.is_proved and not wrong:
        tokens = dict(zip(given.tokens, answer.vocab, strict=True))
        outputs = same_outputs(given, printed(answer.source), tokens)
    verdict = "FALSE" if wrong else answer.verdict
    detail = wrong or ("" if answer.is_proved else answer.detail)
    return [
        brought.name,
        verdict,
        _open(answer.names_are_open, answer.alternatives),
        outputs,
        f"{seconds:.2f}",
        detail.replace("|", "/")[:110],
    ]


def _open(names: bool, others: int) -> str:
    return ", ".join([*(["names"] if names else []), *([f"{others} others"] if others else [])])


def main() -> None:
    """Prints a table for weights alone and one with the read-out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds of search a model")
    parser.add_argument("--every", type=int, default=1, help="read each n-th program only")
    parser.add_argument("--only", nargs="*", help="names of programs")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    chosen = [b for b in BROUGHT if not options.only or b.name in options.only][:: options.every]
    for read_out in (False, True):
        rows = [read(b, read_out=read_out, budget=options.budget) for b in chosen]
        counts = ", ".join(f"{n} {verdict}" for verdict, n in Counter(r[1] for r in rows).items())
        print(f"## {'with read-out' if read_out else 'weights alone'}: {counts}\n")
        head = ("program", "verdict", "open", "outputs", "seconds", "why not")
        print(f"{markdown_table(head, rows)}\n", flush=True)


if __name__ == "__main__":
    main()
