"""What both versions are asked about: programs and model files, made once.

The older version samples and compiles them. That the newer one would have made
the same is compared apart.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from comparing.models import bare, change_all, noisy, rotated, rotated_bare
from comparing.versions import REPOSITORY, CannotCompare, Version

REAL = REPOSITORY / "tests" / "real"


@dataclass(frozen=True)
class Size:
    """How much is asked.

    Attributes:
        seed: of all that is drawn.
        programs: of each data set.
        models: sampled programs whose weights are compared and read.
        real: files of ``tests/real`` that are read.
        library: library programs of which texts are compared.
        evaluated: programs of a report.
        audited: models of each kind of an audit.
        budget: seconds of each search.
    """

    seed: int
    programs: int = 300
    models: int = 1_000
    real: int = 100
    library: int = 1_000
    evaluated: int = 30
    audited: int = 8
    budget: float = 60.0


@dataclass(frozen=True)
class Named:
    """A library program.

    Attributes:
        model: its weights, compiled.
        inputs: some, as the command line takes them.
    """

    name: str
    model: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """Names of files, as seen from a version's folder.

    Attributes:
        programs: sampled programs, a line of JSON each.
        library: library programs.
        models: model files by what was done to them.
    """

    size: Size
    programs: str
    library: tuple[Named, ...]
    models: dict[str, tuple[str, ...]]


def prepare(old: Version, size: Size) -> Asked:
    """Makes it all, in the folder ``asked`` beside the version's own.

    Raises:
        CannotCompare: the version fails.
    """
    folder = old.folder.parent / "asked"
    folder.mkdir()
    programs = folder / "programs.jsonl"
    count = (old.option(("sample",), "--programs", "-n"), str(size.models))
    drawn = old.answer("sample", *count, "--seed", str(size.seed), "--max-length", "9", "--json")
    programs.write_text(drawn.out, "utf-8")
    old.public("programs", "../asked/programs.jsonl", "../asked/sampled")
    named = _library(old, size.library)
    return Asked(size, "../asked/programs.jsonl", named, _models(folder, size))


def library_names(version: Version) -> list[str]:
    """The names that the version lists where it is given another one.

    Raises:
        CannotCompare: it lists none.
    """
    listed = re.search(r"It holds ([\w, ]+)", version.run("run", "no such program", "1").err)
    if listed is None:
        raise CannotCompare("the names of the library's programs are not told")
    return listed[1].split(", ")


def _library(old: Version, most: int) -> tuple[Named, ...]:
    names = library_names(old)[:most]
    told = [json.loads(line) for line in old.public("library", *names).out.splitlines()]
    (old.folder.parent / "asked" / "library").mkdir()
    return tuple(_named(old, one["name"], one["vocab"], one["max_seq_len"]) for one in told)


def _named(old: Version, name: str, vocab: list[object], max_seq_len: int) -> Named:
    file = f"../asked/library/{name}.npz"
    old.answer("compile", name, "-o", file, "--no-strict")
    lengths = {1, (max_seq_len + 1) // 2, max_seq_len}
    inputs = [
        ",".join(str(vocab[(3 * n + length) % len(vocab)]) for n in range(length))
        for length in sorted(lengths)
    ]
    return Named(name, file, tuple(inputs))


def _models(folder: Path, size: Size) -> dict[str, tuple[str, ...]]:
    sampled = sorted((folder / "sampled").glob("*.npz"))
    library = sorted((folder / "library").glob("*.npz"))
    real = sorted(REAL.glob("*.npz"))[: size.real]
    fourth, tenth = sampled[::4], sampled[::10]
    made = {
        "real": change_all(real, bare, folder / "real", size.seed),
        "real-rotated": change_all(real, rotated, folder / "real-rotated", size.seed),
        "sampled": change_all(sampled, bare, folder / "bare", size.seed),
        "sampled-rotated": change_all(sampled, rotated_bare, folder / "rotated", size.seed),
        "read-out": sampled[::4],
        "read-out-rotated": change_all(fourth, rotated, folder / "read-out-rotated", size.seed),
        "noisy": change_all(tenth, noisy, folder / "noisy", size.seed),
        "library": library,
        "library-rotated": change_all(library, rotated, folder / "library-rotated", size.seed),
    }
    return {
        name: tuple(f"../asked/{file.relative_to(folder)}" for file in files)
        for name, files in made.items()
    }
