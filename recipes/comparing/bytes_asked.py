"""Questions whose answers are bytes: data sets, programs, weights, a short training."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open

from comparing.answers import Answers, json_lines, timeless
from comparing.asked import Asked, library_names
from comparing.versions import Version

TREATMENTS = (
    "compiled,rotated,compressed,rotated-compressed,compressed-bos,rotated-compressed-bos,noisy"
)


def data_sets(version: Version, asked: Asked) -> dict[str, Answers]:
    """Every file of three data sets, and what is said of them."""
    size, build = asked.size, ("dataset", "build")
    count = version.option(build, "--programs", "-n")
    treat = version.option(build, "--treatments", "--treat")
    common = (count, str(size.programs), "--workers", "1")
    sets = {
        "plain": ("--seed", str(size.seed)),
        "treated": (treat, TREATMENTS, "--seed", str(size.seed + 1), "--other-domains", "0.3"),
        "others": (
            *("--exclude", "plain", "--exclude-sampled", f"{size.seed}:20", "--shard-size", "50"),
            *("--min-length", "2", "--max-length", "12", "--splits", "0.5,0.3,0.2"),
            *(treat, "rotated=0.2,noisy=0.1"),
        ),
    }
    answers: dict[str, object] = {}
    for name, options in sets.items():
        answers[f"{name}: built"] = version.answer(*build, name, *common, *options).out
        answers |= files_of(version.folder / name, name)
    for command in (
        ("info", "treated"),
        ("show", "treated", "3"),
        ("show", "others", "3", "--json"),
        ("verify", "others", "--sample", "10", "--workers", "1"),
    ):
        answers[" ".join(command)] = version.answer("dataset", *command).out
    return {"data sets": answers}


def samples(version: Version, asked: Asked) -> dict[str, Answers]:
    """Programs of several streams."""
    count = (version.option(("sample",), "--programs", "-n"), str(asked.size.models))
    seed = str(asked.size.seed)
    streams = {
        "usual": (),
        "elsewhere": ("--start", "100000"),
        "short and long": ("--min-length", "2", "--max-length", "15"),
    }
    answers: dict[str, object] = {}
    for name, options in streams.items():
        drawn = version.answer("sample", *count, "--seed", seed, "--json", *options).out
        answers |= {f"{name} {n}": line for n, line in enumerate(json_lines(drawn))}
    return {"samples": answers}


def weights(version: Version, asked: Asked) -> dict[str, Answers]:
    """Saved weights, and what the exported names say of sampled programs and of models."""
    named = _by_name(version.public("programs", asked.programs, "weights").out)
    few = [file for files in asked.models.values() for file in files[:3]]
    named |= _by_name(version.public("models", *few).out)
    saved = files_of(version.folder / "weights", "sampled")
    folder = version.folder / "library"
    folder.mkdir()
    for name in library_names(version)[: asked.size.library]:
        for file, options in {
            f"{name}.npz": ("--no-strict",),
            f"{name}.safetensors": ("--no-strict", "--max-seq-len", "4"),
            f"{name}-causal.npz": ("--no-strict", "--causal"),
            f"{name}-auto.npz": ("--mlp-exactness", "auto"),
        }.items():
            done = version.run("compile", name, "-o", f"library/{file}", *options)
            saved[f"compile {file}"] = f"code {done.code}\n{done.out}{done.err}"
    return {"weights": saved | files_of(folder, "library"), "exported names": named}


def training(version: Version, asked: Asked) -> dict[str, Answers]:
    """All tensors of a meta-model after four steps, its log, and its small file."""
    version.answer(
        *("train", "--out", "run", "--steps", "4", "--seed", str(asked.size.seed)),
        *("--batch-size", "16", "--width", "32", "--layers", "1", "--heads", "2"),
        *("--device", "cpu", "--log-every", "1"),
    )
    trained = "run/checkpoint.safetensors"
    version.answer("export", trained, "-o", "small.safetensors")
    log = json_lines((version.folder / "run" / "log.jsonl").read_text("utf-8"))
    answers: dict[str, object] = {f"log {n}": timeless(line) for n, line in enumerate(log)}
    for file in (trained, "small.safetensors"):
        answers |= _tensors(version.folder / file, file)
    return {"training": answers}


def files_of(folder: Path, name: str) -> dict[str, object]:
    """The bytes of every file below a folder."""
    return {
        f"{name}/{file.relative_to(folder)}": file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _by_name(lines: str) -> dict[str, object]:
    return {json.loads(line)["name"]: json.loads(line) for line in lines.splitlines()}


def _tensors(file: Path, name: str) -> dict[str, object]:
    """Tensors as bytes, and what the file says besides, without times."""
    answers: dict[str, object] = {}
    with safe_open(file, "np") as tensors:
        for key in sorted(tensors.keys()):
            array = tensors.get_tensor(key)
            answers[f"{name} {key} {array.dtype} {array.shape}"] = array.tobytes()
        for key, text in (tensors.metadata() or {}).items():
            answers[f"{name} {key}"] = timeless(json.loads(text))
    return answers
