"""Questions whose answers are read by people and programs: verdicts, texts, tables, errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from comparing.answers import (
    A_TIME,
    CUT_OFF,
    Answers,
    is_cut_off,
    json_lines,
    timeless,
    timeless_text,
)
from comparing.asked import Asked, Named
from comparing.bytes_asked import files_of
from comparing.versions import Outcome, Version

AT_ONCE = 250
"""Models that one process reads."""


def reading(version: Version, asked: Asked) -> dict[str, Answers]:
    """What is read off models, what is shown of it, and what replaying that says."""
    read: dict[str, object] = {}
    shown: dict[str, object] = {}
    for name, files in asked.models.items():
        for start in range(0, len(files), AT_ONCE):
            part = files[start : start + AT_ONCE]
            folder = f"shown/{name}-{start}"
            found = _decompiled(version, asked, part, "--certificate", folder)
            cut_off = {file for file, answer in found.items() if answer == CUT_OFF}
            read |= {f"{name}: {file}": answer for file, answer in found.items()}
            shown |= _certificates(version, folder, {file.split("/")[-1] for file in cut_off})
    ways = (
        ("real-rotated", ("--greedy",)),
        ("real", ("--proposals", "uniform")),
        ("library", ("--bos", "compiler_bos")),
    )
    for name, options in ways:
        found = _decompiled(version, asked, asked.models[name][:30], *options)
        read |= {f"{name} {options[-1]}: {file}": answer for file, answer in found.items()}
    return {"decompile": read, "certificates": shown}


def _decompiled(
    version: Version, asked: Asked, files: tuple[str, ...], *options: str
) -> dict[str, object]:
    budget = asked.size.budget
    done = version.answer(
        *("decompile", "--json", "--no-progress", "--budget", f"{budget:g}"), *options, *files
    )
    found: dict[str, object] = {}
    for answer in map(json.loads, done.out.splitlines()):
        hung = is_cut_off(answer.get("search"), budget)
        found[answer["file"]] = CUT_OFF if hung else timeless(answer)
    if CUT_OFF not in found.values():
        found[f"code from {files[0]} on"] = done.code
        found[f"errors from {files[0]} on"] = done.err
    return found


def _certificates(version: Version, folder: str, cut_off: set[str]) -> dict[str, object]:
    """Certificates to the last byte, and what `check` says of each."""
    written = files_of(version.folder / folder, folder)
    written = {
        name: CUT_OFF if name.split("/")[-1].removesuffix(".json") in cut_off else data
        for name, data in written.items()
    }
    if not written:
        return {}
    replayed = version.answer("check", "--json", *written)
    for answer in map(json.loads, replayed.out.splitlines()):
        hung = written[answer["file"]] == CUT_OFF
        written[f"{answer['file']} replayed"] = CUT_OFF if hung else timeless(answer)
    return written


def texts(version: Version, asked: Asked) -> dict[str, Answers]:
    """What is printed and drawn of library programs."""
    answers: dict[str, object] = {}
    (version.folder / "pictures").mkdir()
    for number, named in enumerate(asked.library):
        other = asked.library[number - 1]
        for command in _about(named, other, asked.size.budget):
            done = version.run(*command)
            answers[f"untracr {' '.join(command)}"] = _told(done)
    return {"texts": answers | files_of(version.folder / "pictures", "pictures")}


def _about(named: Named, other: Named, budget: float) -> Iterator[tuple[str, ...]]:
    name, model, inputs = named.name, named.model, named.inputs
    yield "run", name, *inputs
    yield "run", model, *inputs, "--json"
    yield "check", name
    yield "check", name, "--json", "--causal"
    yield "check", name, "--against", other.name
    yield "check", name, "--against", model
    yield "decompile", model, "--budget", f"{budget:g}"
    yield "explain", model, inputs[-1], "--picture", f"pictures/{name}.svg"
    yield "explain", model, *inputs, "--program", name, "--picture", f"pictures/{name}.html"
    yield "explain", model, inputs[0], "--json"


def evaluation(version: Version, asked: Asked) -> dict[str, Answers]:
    """A report: tables, pictures, and every answer of it."""
    count = version.option(("eval",), "--programs", "-n")
    treat = version.option(("eval",), "--treatments", "--treatment")
    common = ("eval", count, str(asked.size.evaluated), "--seed", str(asked.size.seed))
    kinds = "compiled,rotated,rotated-compressed-bos,noisy:0.001:0.01"
    plain = version.answer(*common, treat, "compiled,rotated", "--json")
    version.answer(*common, treat, kinds, "--library", "--report", "report")
    answers: dict[str, object] = {
        f"measured {n}": timeless(line) for n, line in enumerate(json_lines(plain.out))
    }
    for name, data in files_of(version.folder / "report", "report").items():
        assert isinstance(data, bytes)
        if name.endswith(".json"):
            for key, value in json.loads(data).items():
                answers[f"{name} {key}"] = A_TIME if key == "speed" else timeless(value)
        else:
            answers[name] = timeless_text(data.decode()) if name.endswith(".md") else data
    return {"evaluation": answers}


def audit(version: Version, asked: Asked) -> dict[str, Answers]:
    """Every record of an audit of all kinds of models, and its summary."""
    size = asked.size
    done = version.answer(
        *("audit", "--kinds", "all", "--models", str(size.audited), "--seed", str(size.seed)),
        *("--budget", f"{size.budget:g}", "--out", "audit.jsonl", "--json"),
    )
    records = json_lines((version.folder / "audit.jsonl").read_text("utf-8"))
    answers: dict[str, object] = {}
    for number, record in enumerate(records):
        hung = is_cut_off(record, size.budget)
        answers[f"record {number}"] = CUT_OFF if hung else timeless(record)
    hung = CUT_OFF in answers.values()
    for number, summary in enumerate(json_lines(done.out)):
        answers[f"summary {number}"] = CUT_OFF if hung else timeless(summary)
    return {"audit": answers}


def refusals(version: Version, asked: Asked) -> dict[str, Answers]:
    """What is said to bad programs, inputs and files."""
    folder = version.folder / "bad"
    folder.mkdir()
    programs = {
        "syntax": "out = Map(lambda x: x +, tokens)\n",
        "name": "out = Map(lambda x: x, tokns)\n",
        "function": "out = Map(lambda x: __import__('os'), tokens)\n",
        "none": "# nothing\n",
        "division": "out = Map(lambda x: 1 / x, tokens)\n",
        "fails": "out = Map(lambda x: x % 0, tokens)\n",
        "types": "out = SequenceMap(lambda x, y: x < y, tokens, Aggregate(tokens, tokens))\n",
        "wrong": "out = Map(lambda x: x > 0.5, numerical(Map(lambda x: x * 0.001, tokens)))\n",
    }
    for name, source in programs.items():
        (folder / f"{name}.py").write_text(source, "utf-8")
    (folder / "empty.npz").write_bytes(b"")
    (folder / "cut.npz").write_bytes((version.folder / asked.models["real"][0]).read_bytes()[:999])
    (folder / "zeros.safetensors").write_bytes(bytes(64))
    (folder / "list.json").write_text("[]", "utf-8")
    files = [f"bad/{file}" for file in ("empty.npz", "cut.npz", "zeros.safetensors", "no.npz")]
    commands: list[tuple[str, ...]] = [
        *(("check", f"bad/{name}.py") for name in programs),
        *(("run", f"bad/{name}.py", "1,2") for name in programs),
        ("compile", "bad/wrong.py", "-o", "bad/out.npz"),
        ("compile", "sort", "-o", "bad/out.txt"),
        ("decompile", *files),
        ("decompile", *files, "--json"),
        ("run", files[1], "1"),
        ("explain", files[1], "1"),
        ("check", "bad/list.json"),
        ("run", "sort", "1,2,9"),
        ("run", "sort", "1,1,1,1,1,1,1,1,1"),
        ("decompile", asked.models["real"][0], "--vocab", "1,2"),
        ("dataset", "info", "bad"),
        ("dataset", "verify", "nowhere"),
    ]
    return {"refusals": {f"untracr {' '.join(c)}": _told(version.run(*c)) for c in commands}}


def help_texts(version: Version, asked: Asked) -> dict[str, Answers]:
    """``--help`` of every command, those found in the text of their parent."""
    del asked
    answers: dict[str, object] = {}
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        command = waiting.pop(0)
        text = version.answer(*command, "--help").out
        answers[" ".join(("untracr", *command))] = text
        _, _, listed = text.partition("\ncommands:\n")
        names = re.findall(r"^ {4}(\w[\w-]*)", listed, re.MULTILINE)
        waiting += [(*command, name) for name in names]
    return {"help": answers}


def _told(done: Outcome) -> str:
    return f"code {done.code}\n{timeless_text(done.out)}{timeless_text(done.err)}"
