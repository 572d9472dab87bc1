"""Hostile folders of models: ``python tests/fuzz_folders.py --cases 3000 --seed 0``.

Sound folders of GPT-2, of Llama and of TransformerLens' names, files of networks and of PyTorch are
changed: their configurations, task files, indices, headers, tensors. Each is run and read.
"""

from __future__ import annotations

import copy
import functools
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

import fuzz_running
from foreign_tensors import (
    GPT2_CONFIG,
    LENS_CONFIG,
    LLAMA_CONFIG,
    Arrays,
    folder_of,
    gpt2_arrays,
    lens_arrays,
    llama_arrays,
)
from fuzz_files import any_array, hostile_safetensors, overwritten, special
from fuzz_json import mutated, text_of
from fuzz_running import Case
from random_networks import KINDS, network_of
from untracr.loading.loading import load_model

TASK = {"tokens": [f"t{i}" for i in range(11)], "input": "t0 x", "outputs": "next token"}

KINDS_OF_FOLDERS: dict[str, tuple[Callable[[], Arrays], dict[str, Any]]] = {
    "gpt2": (gpt2_arrays, GPT2_CONFIG),
    "llama": (llama_arrays, LLAMA_CONFIG),
    "lens": (lens_arrays, LENS_CONFIG),
}


@functools.cache
def material() -> Path:
    """Sound files, made once a run; nobody may change them."""
    root = Path(tempfile.mkdtemp(prefix="fuzz-folders-"))
    for name in ("gpt2", "llama", "windows"):
        load_model(network_of(KINDS[name])).save(root / f"{name}.safetensors")
    return root


def folder_case(rng: random.Random, folder: Path) -> Case:
    """A folder of which one or two files are not what they should be."""
    kind = rng.choice(list(KINDS_OF_FOLDERS))
    make, config = KINDS_OF_FOLDERS[kind]
    root, arrays = folder / "m", make()
    for _ in range(rng.choice((0, 0, 1, 3))):
        changed_tensors(rng, arrays)
    folder_of(root, arrays, config)
    _changed_files(rng, root, arrays, config)
    return Case(f"folder {kind}", _commands(rng, "m"))


def _changed_files(rng: random.Random, root: Path, arrays: Arrays, config: dict[str, Any]) -> None:
    weights = root / "model.safetensors"
    if rng.random() < 0.6:
        (root / "config.json").write_bytes(text_of(rng, mutated(rng, config)))
    if rng.random() < 0.3:
        (root / "task.json").write_bytes(text_of(rng, mutated(rng, copy.deepcopy(TASK))))
    if rng.random() < 0.2:
        hostile_safetensors(rng, weights, weights)
    if rng.random() < 0.1:
        overwritten(rng, weights)
    if rng.random() < 0.1:
        odd = rng.choice((weights, root / "config.json", root / "task.json"))
        odd.unlink(missing_ok=True)
        special(rng, odd)
    if rng.random() < 0.2 and weights.is_file():
        _in_parts(rng, root, arrays)
    if rng.random() < 0.2:
        names = ("tokenizer.json", "vocab.json", "tokenizer_config.json")
        vocab = {f"t{i}": i for i in range(11)}
        (root / rng.choice(names)).write_bytes(
            text_of(rng, mutated(rng, {"model": vocab, **vocab}))
        )


def _in_parts(rng: random.Random, root: Path, arrays: Arrays) -> None:
    (root / "model.safetensors").rename(root / "part.safetensors")
    index = {"weight_map": dict.fromkeys(arrays, "part.safetensors")}
    text = text_of(rng, mutated(rng, index))
    (root / "model.safetensors.index.json").write_bytes(text)


def changed_tensors(rng: random.Random, arrays: Arrays) -> None:
    """One tensor missing, doubled, renamed or changed."""
    name = rng.choice([name for name, array in arrays.items() if array.size])
    kind = rng.randrange(4)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        odd = ("x", "blocks.9.attn.W_Q", "h.7.ln_1.weight", "a\n\x1b[2J", name + ".weight")
        arrays[rng.choice(odd)] = arrays[name]
    elif kind == 2:
        arrays["blocks.0.attn.mask"] = rng.choice((np.ones((6, 6), bool), np.ones(3, bool)))
    else:
        changed = any_array(rng, arrays[name])
        plain = changed.dtype.kind in "biuf" and changed.dtype.itemsize <= 8
        arrays[name] = np.ascontiguousarray(changed.astype(changed.dtype.newbyteorder("="))
                                            if plain else arrays[name][:0])  # fmt: skip


def torch_case(rng: random.Random, folder: Path) -> Case:
    """A file of PyTorch that holds something odd, or is damaged."""
    arrays = rng.choice((gpt2_arrays, lens_arrays))()
    changed_tensors(rng, arrays)
    tensors: dict[Any, Any] = {name: torch.tensor(array) for name, array in arrays.items()}
    name = rng.choice(list(tensors))
    odd = (
        torch.ones(1).expand(10**9, 4),
        torch.ones(3, 3).to_sparse(),
        torch.ones(3, dtype=torch.complex64),
        torch.empty(3, 3, device="meta"),
        torch.ones(3).bfloat16(),
        torch.ones(2, 2).to(torch.float8_e4m3fn),
        "text",
        None,
        {"a": [1] * 1000},
        10**4000,
    )
    if rng.random() < 0.6:
        tensors[rng.choice((name, 3, "x"))] = rng.choice(odd)
    whole: Any = rng.choice((tensors, {"model": tensors, "model_args": mutated(rng, GPT2_CONFIG)}))
    torch.save(whole, folder / "m.pt", _use_new_zipfile_serialization=rng.random() < 0.9)
    if rng.random() < 0.3:
        overwritten(rng, folder / "m.pt")
    return Case("PyTorch", _commands(rng, "m.pt"))


def network_case(rng: random.Random, folder: Path) -> Case:
    """A network's own file with a changed header or document."""
    source = rng.choice(sorted(material().glob("*.safetensors")))
    hostile_safetensors(rng, folder / "m.safetensors", source)
    return Case("network", _commands(rng, "m.safetensors"))


def bare_case(rng: random.Random, folder: Path) -> Case:
    """Tensors without anything beside them, some of their names or shapes odd."""
    arrays = rng.choice((lens_arrays, gpt2_arrays, llama_arrays))()
    for _ in range(rng.choice((1, 2, 5))):
        changed_tensors(rng, arrays)
    safetensors.numpy.save_file(arrays, folder / "m.safetensors")
    return Case("bare", _commands(rng, "m.safetensors"))


def _commands(rng: random.Random, name: str) -> list[list[str]]:
    decompile = ["decompile", name, "--budget", "0.5", "--no-progress"]
    return rng.choice(
        (
            [["run", name, "1,2"], ["run", name, "t1 t2", "--json"]],
            [["run", name, "1,2", "--outputs", "next token"], decompile],
            [["check", name, "--against", "hist"]],
            [["run", name, "t1 t2"], ["explain", name, "1,2", "--program", "hist"]],
        )
    )


def make(rng: random.Random, folder: Path) -> Case:
    """One hostile model of some kind."""
    kinds = (folder_case, folder_case, folder_case, torch_case, network_case, bare_case)
    return rng.choice(kinds)(rng, folder)


if __name__ == "__main__":
    material()
    sys.exit(fuzz_running.main_of(make, "folders", "Reads hostile folders of models."))
