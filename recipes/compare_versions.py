"""Whether two versions of the package give the same bytes and the same answers.

    python recipes/compare_versions.py main~1 main --quick
    python recipes/compare_versions.py main .                # with what is not committed

A version is a revision of git, or a folder that holds ``src/untracr``. For each
kind of answer one line says how many are the same, or where the first ones
part. The exit code is 0 if all are the same, 1 if any is not, 2 if the older
version cannot be asked. Needs the test extras. Both versions are asked at the
same time, a process each.

What is left out: times; answers that hang on the clock, since in both versions
a search ended with its budget (their number is told); and, unless
``--help-counts``, the texts of ``--help``, whose changes are shown.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from comparing.answers import Answers, Comparison, compare, renamed
from comparing.answers_asked import audit, evaluation, help_texts, reading, refusals, texts
from comparing.asked import Asked, Size, prepare
from comparing.bytes_asked import data_sets, samples, training, weights
from comparing.versions import CannotCompare, Version, source_of

Question = Callable[[Version, Asked], dict[str, Answers]]

QUESTIONS: dict[str, Question] = {
    "samples": samples,
    "datasets": data_sets,
    "weights": weights,
    "decompile": reading,
    "texts": texts,
    "refusals": refusals,
    "eval": evaluation,
    "audit": audit,
    "training": training,
    "help": help_texts,
}

QUICK = Size(
    seed=0, programs=40, models=40, real=20, library=3, evaluated=3, audited=1, budget=20.0
)

SHOWN = 300
"""Characters of what a version says in one place."""


@dataclass(frozen=True)
class Report:
    """How differences are told.

    Attributes:
        most: answers of one kind of which it is told where they part.
        names: new names of fields of JSON, by the old ones.
        help_counts: whether other texts of ``--help`` are a failure.
    """

    most: int
    names: Mapping[str, str]
    help_counts: bool

    def tell(self, title: str, old: Answers, new: Answers) -> bool:
        """Prints the lines of one kind of answer; returns whether it is the same."""
        old = {name: renamed(answer, self.names) for name, answer in old.items()}
        found = compare(old, new)
        print(f"{title + ':':14} {_summary(found)}", flush=True)
        if title == "help" and not self.help_counts:
            _print_diffs(old, new)
            return True
        for difference in found.differences[: self.most]:
            print(f"  {difference.what}, {difference.where}".rstrip(", "))
            print(f"    old: {_short(difference.old)}\n    new: {_short(difference.new)}")
        if len(found.differences) > self.most:
            print(f"  ... and {len(found.differences) - self.most:,} more")
        return not found.differences


def main() -> int:
    """Compares as the command line says; returns the exit code."""
    args = _arguments()
    names = dict(pair.split("=", 1) for pair in args.renamed)
    report = Report(args.show, names, args.help_counts)
    try:
        with tempfile.TemporaryDirectory(prefix="two-versions-") as scratch:
            return _compare(args.old, args.new, Path(scratch), _size(args), args.only, report)
    except CannotCompare as error:
        print(f"compare_versions: {error}", file=sys.stderr)
        return 2


def _compare(old: str, new: str, scratch: Path, size: Size, only: list[str], report: Report) -> int:
    with (
        source_of(old, scratch / "old-source") as old_source,
        source_of(new, scratch / "new-source") as new_source,
    ):
        versions = []
        for name, source in (("old", old_source), ("new", new_source)):
            (scratch / name).mkdir()
            versions.append(Version(source, scratch / name))
            versions[-1].require()
        asked = prepare(versions[0], size)
        same = [_ask_both(QUESTIONS[name], versions, asked, report) for name in only]
        return 0 if all(same) else 1


def _ask_both(question: Question, versions: list[Version], asked: Asked, report: Report) -> bool:
    """Asks both at the same time; returns whether all is the same."""
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(_answers, question, version, asked) for version in versions]
    old, new = (one.result() for one in waiting)
    if isinstance(old, CannotCompare):
        raise CannotCompare(f"the old version cannot be asked: {old}")
    if isinstance(new, CannotCompare):
        print(f"{' and '.join(old)}: different\n  the new version fails: {new}", flush=True)
        return False
    told = [report.tell(title, old[title], new[title]) for title in old]
    return all(told)


def _answers(
    question: Question, version: Version, asked: Asked
) -> dict[str, Answers] | CannotCompare:
    try:
        return question(version, asked)
    except CannotCompare as error:
        return error
    except (KeyError, ValueError, OSError) as error:  # no JSON, no such field, no such file
        return CannotCompare(f"what it gives has not the form that is read: {error!r}")


def _summary(found: Comparison) -> str:
    left_out = f"; left out, cut off by their budget: {found.cut_off:,}" if found.cut_off else ""
    same = found.total - len(found.differences)
    if not found.differences:
        return f"same: {same:,} of {found.total:,}{left_out}"
    return f"different: {len(found.differences):,} of {found.total:,}{left_out}"


def _print_diffs(old: Answers, new: Answers) -> None:
    for name in dict.fromkeys((*old, *new)):
        before, after = (str(answers.get(name, "")).splitlines() for answers in (old, new))
        files = f"old {name}", f"new {name}"
        for line in difflib.unified_diff(before, after, *files, n=1, lineterm=""):
            print(f"  {line}")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _size(args: argparse.Namespace) -> Size:
    size = replace(QUICK if args.quick else Size(seed=0), seed=args.seed)
    fields = ("programs", "models", "real", "library", "budget")
    given = {name: getattr(args, name) for name in fields}
    return replace(size, **{name: value for name, value in given.items() if value is not None})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("old", metavar="OLD", help="a revision, or a folder with src/untracr")
    parser.add_argument("new", metavar="NEW", help="likewise")
    parser.add_argument("--quick", action="store_true", help="ask less: some minutes")
    parser.add_argument(
        "--only",
        type=_questions,
        default=list(QUESTIONS),
        metavar="NAME,...",
        help=f"of {', '.join(QUESTIONS)}",
    )
    parser.add_argument("--programs", type=int, metavar="N", help="of each data set (300)")
    parser.add_argument("--models", type=int, metavar="N", help="sampled models (1,000)")
    parser.add_argument("--real", type=int, metavar="N", help="models of tests/real (100)")
    parser.add_argument("--library", type=int, metavar="N", help="library programs (all)")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="of each search (60)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    parser.add_argument(
        "--renamed",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="a field of JSON that has another name in the new version (may be repeated)",
    )
    parser.add_argument("--help-counts", action="store_true", help="another --help is a failure")
    parser.add_argument(
        "--show", type=int, default=3, metavar="N", help="differences of a kind (default: 3)"
    )
    return parser.parse_args()


def _questions(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in QUESTIONS:
            raise argparse.ArgumentTypeError(
                f"no question {name!r}; there are {', '.join(QUESTIONS)}"
            )
    return names


if __name__ == "__main__":
    sys.exit(main())
