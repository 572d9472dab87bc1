"""Scaling study and ablations of the meta-model, on one set of examples.

Examples are made once, by the stream that `untracr train` uses, and kept in
memory; every run then differs in one thing only. Results and a picture go to
``runs/studies``; a run that is there already is not done again.

    python recipes/studies.py --programs 80000 --ablation-minutes 2

Needs ``pip install 'untracr[train,report]'``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from untracr.metamodel.examples import Example, ExampleSettings, training_example
from untracr.metamodel.network import Network, NetworkConfig, loss_and_hits
from untracr.metamodel.vocabulary import N_SLOTS
from untracr.rasp.listed_functions import BINARY, PREDICATES, UNARY
from untracr.sample.exclusion import Exclusion
from untracr.sample.treatment_shares import TreatmentShares
from untracr.train.batching import as_batch, collate_arrays
from untracr.train.checkpoint import load_checkpoint
from untracr.train.metrics import Score
from untracr.train.stream import Arrays
from untracr.train.training import Task, TrainingSettings, train

OUT = Path("runs/studies")
SEED, TEST_SEED, TEST_PROGRAMS = 5, 777, 1_000
BATCH_SIZE = 128
TREATMENTS = {"rotated": 0.15, "rotated-compressed": 0.2, "noisy": 0.15}
SIZES = {
    "small": NetworkConfig(32, 2, 4),
    "medium": NetworkConfig(64, 3, 4),
    "large": NetworkConfig(),
}

Hide = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Variant:
    """One run.

    Attributes:
        name: of its folder.
        config: sizes.
        programs: how many of the examples it sees, each once; or
        minutes: how long it goes through all of them, again and again.
        hide: takes something out of what it sees, in training and test.
    """

    name: str
    config: NetworkConfig
    programs: int | None = None
    minutes: float | None = None
    hide: Hide = lambda arrays: arrays


def _columns() -> dict[str, list[int]]:
    """Columns of the number features by subject, in the order of `features`."""
    places: dict[str, list[int]] = {"matches": [], "outlook": []}
    start = 0
    for size, kinds in ((len(UNARY), 3), (len(BINARY), 3), (len(PREDICATES), 2)):
        for kind in range(kinds):
            subject = "outlook" if kind == 2 else "matches"
            places[subject] += range(start, start + size)
            start += size
    return places


def without_outlook(arrays: Arrays) -> Arrays:
    """Nothing is known from later half-layers."""
    return _without_numbers(arrays, _columns()["outlook"])


def without_matches(arrays: Arrays) -> Arrays:
    """Components are not compared with known functions and predicates."""
    return _without_numbers(arrays, [*_columns()["matches"], *_columns()["outlook"]])


def _without_numbers(arrays: Arrays, columns: list[int]) -> Arrays:
    numbers = arrays["numbers"].copy()
    numbers[:, :, columns] = 0
    return {**arrays, "numbers": numbers}


def without_edges(arrays: Arrays) -> Arrays:
    """Which variables a component reads is hidden."""
    integers = arrays["integers"].copy()
    integers[:, :, 1:4] = N_SLOTS
    return {**arrays, "integers": integers}


def without_order(arrays: Arrays) -> Arrays:
    """The components of a half-layer come in random order."""
    rng = np.random.default_rng(0)
    steps = arrays["component_step"].astype(np.float64)
    order = np.argsort(steps + 0.9 * rng.random(steps.shape), axis=1)
    return {
        **arrays,
        "integers": np.take_along_axis(arrays["integers"], order[:, :, None], axis=1),
        "numbers": np.take_along_axis(arrays["numbers"], order[:, :, None], axis=1),
    }


def variants(programs: int, minutes: float) -> list[Variant]:
    """Three sizes by three amounts of data, then the ablations."""
    amounts = (programs // 16, programs // 4, programs)
    scaling = [
        Variant(f"{name}-{amount}", config, programs=amount)
        for name, config in SIZES.items()
        for amount in amounts
    ]
    hidden: dict[str, Hide] = {
        "everything": lambda arrays: arrays,
        "without-outlook": without_outlook,
        "without-matches": without_matches,
        "without-edges": without_edges,
        "without-order": without_order,
    }
    ablations = [
        Variant(name, NetworkConfig(), minutes=minutes, hide=hide) for name, hide in hidden.items()
    ]
    return [*scaling, *ablations]


def _settings() -> ExampleSettings:
    excluded = Exclusion.of_sampled(TEST_SEED, TEST_PROGRAMS)
    return ExampleSettings(treatments=TreatmentShares(tuple(TREATMENTS.items())), excluded=excluded)


def _chunk(task: tuple[int, int, int, ExampleSettings]) -> list[Example]:
    seed, start, stop, settings = task
    return [training_example(seed, index, settings) for index in range(start, stop)]


def make_examples(seed: int, count: int, settings: ExampleSettings) -> list[Example]:
    """Examples 0 to count of a stream, made by all cores."""
    size = 500
    tasks = [(seed, n, min(n + size, count), settings) for n in range(0, count, size)]
    with multiprocessing.get_context("spawn").Pool() as pool:
        return [example for chunk in pool.imap(_chunk, tasks) for example in chunk]


def run(variant: Variant, examples: list[Example], test: list[Example]) -> dict[str, object]:
    """Trains a variant and measures it on the test examples."""
    folder = OUT / variant.name
    done = folder / "result.json"
    if done.exists():
        return dict(json.loads(done.read_text()))

    def make(seed: int, start: int, count: int) -> Arrays:
        places = [(start + n) % len(examples) for n in range(count)]
        return variant.hide(collate_arrays([examples[place] for place in places]))

    def loss(network: torch.nn.Module, arrays: Arrays, device: torch.device) -> Score:
        assert isinstance(network, Network)
        return Score.of(*loss_and_hits(network, as_batch(arrays).to(device)))

    def measured(network: torch.nn.Module, device: torch.device) -> dict[str, float]:
        found = []
        with torch.no_grad():
            for start in range(0, len(test), 250):
                arrays = variant.hide(collate_arrays(test[start : start + 250]))
                score = loss(network, arrays, device)
                found.append([score.loss.item(), score.exact, score.tokens])
        means = np.mean(found, axis=0)
        return {"test_loss": means[0], "test_exact": means[1], "test_tokens": means[2]}

    task = Task(
        variant.name,
        {"variant": variant.name, **variant.config.as_dict()},
        lambda: Network(variant.config),
        make,
        loss,
        measured,
    )
    settings = TrainingSettings(
        folder,
        hours=variant.minutes / 60 if variant.minutes else None,
        steps=variant.programs // BATCH_SIZE if variant.programs else None,
        seed=SEED,
        batch_size=BATCH_SIZE,
        learning_rate=2e-3,
        workers=0,
        threads=2,
        save_minutes=60,
    )
    path = train(task, settings)
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    parameters = sum(t.numel() for t in load_checkpoint(path).model.values())
    tokens = np.mean([len(e.targets) + len(e.component_step) for e in examples[:1000]])
    result = {
        "name": variant.name,
        "parameters": parameters,
        "programs": last["examples"],
        "seconds": last["elapsed"],
        "flops": 6.0 * parameters * float(tokens) * last["examples"],
        **{name: value for name, value in last.items() if name.startswith("test_")},
    }
    done.write_text(json.dumps(result))
    return result


def draw(results: list[dict[str, object]]) -> None:
    """Loss and exact match against compute, one line a size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (what, label) in zip(
        figure.subplots(1, 2),
        (("test_loss", "test loss (nats a program token)"), ("test_exact", "token-exact")),
        strict=True,
    ):
        for size in SIZES:
            points = [r for r in results if str(r["name"]).startswith(f"{size}-")]
            parameters = int(points[0]["parameters"])  # type: ignore[call-overload]
            axes.plot(
                [r["flops"] for r in points],
                [r[what] for r in points],
                marker="o",
                label=f"{parameters / 1e6:.2f} M parameters",
            )
        axes.set_xscale("log")
        axes.set_xlabel("training FLOPs (6 x parameters x tokens)")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(OUT / "scaling.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=80_000)
    parser.add_argument("--ablation-minutes", type=float, default=2.0)
    options = parser.parse_args()
    if options.programs < 16 * BATCH_SIZE:
        parser.error(f"--programs must be at least {16 * BATCH_SIZE}, not {options.programs}")
    settings = _settings()
    begun = time.monotonic()
    examples = make_examples(SEED, options.programs, settings)
    test = make_examples(TEST_SEED, TEST_PROGRAMS, ExampleSettings())
    print(f"{len(examples)} examples in {time.monotonic() - begun:.0f} s", flush=True)
    results = []
    for variant in variants(options.programs, options.ablation_minutes):
        results.append(run(variant, examples, test))
        print(json.dumps(results[-1]), flush=True)
    (OUT / "results.json").write_text(json.dumps(results, indent=1))
    draw(results)


if __name__ == "__main__":
    main()
