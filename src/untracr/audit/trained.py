"""Small transformers of our architecture trained by gradient descent. Needs torch.

A run trains one model on the outputs of a sampled program, from its compiled
weights or from random ones, and keeps it at several steps: soon after the start
the weights are hardly a compiled model's any more, in the end they compute the
program in their own way, or nearly.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from untracr.audit.foreign import DOMAIN, compiled_sample, without_read_out
from untracr.audit.subject import Subject
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import number_or
from untracr.rasp.interpreter import Batch
from untracr.rasp.program import Program
from untracr.sample.sampler import sample_program
from untracr.transformer.transformer import ARRAY_NAMES, BIASES, Transformer

STEPS = (1, 2, 5, 10, 30, 60, 120, 240)
"""After how many steps of gradient descent a run keeps its model."""

SHARE_MISPLACED = 0.05
"""Share of the outputs that are those of another position."""

INPUTS_A_STEP = 128
"""Inputs a step, all of one length."""

MAX_COMPILED_WEIGHTS = 20_000
"""Larger programs are passed over: a run shall take about a second."""

D_MODEL, D_HEAD, N_HEADS, N_LAYERS, D_MLP = 32, 8, 2, 2, 64
"""Sizes of models that are trained from random weights."""

WEIGHTS_LEARNT = (*(name for name in ARRAY_NAMES if name not in BIASES), "W_U")


@dataclass(frozen=True)
class _Plan:
    """How one run goes.

    Of the outputs that it learns some are wrong, so that it leaves compiled weights.

    Attributes:
        from_compiled: whether it starts at compiled weights.
        optimizer: Adam moves every weight, SGD those with a gradient.
        rate: the learning rate.
        biases: whether they are trained too.
    """

    from_compiled: bool
    optimizer: type[torch.optim.Optimizer]
    rate: float
    biases: bool


_PLANS = (
    _Plan(True, torch.optim.SGD, 1e-5, False),
    _Plan(True, torch.optim.Adam, 1e-6, False),
    _Plan(True, torch.optim.SGD, 1e-3, False),
    _Plan(True, torch.optim.Adam, 1e-3, True),
    _Plan(False, torch.optim.Adam, 1e-2, True),
    _Plan(False, torch.optim.Adam, 3e-3, False),
)


def trained(seed: int, index: int) -> Subject:
    """A model after some steps of training; every second item has a read-out.

    The same bits on one machine: torch works with one thread meanwhile.
    """
    run, number = divmod(index, len(STEPS))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = _run(seed, run)[number]
    finally:
        torch.set_num_threads(threads)
    plan = _PLANS[run % len(_PLANS)]
    start = "compiled" if plan.from_compiled else "random"
    how = f"from {start}, {plan.optimizer.__name__} {plan.rate:g}, {STEPS[number]} steps"
    bare = without_read_out(model)
    given = model if (run // len(_PLANS) + number) % 2 == 0 else bare
    read_out = "" if given.W_U is None else ", read-out"
    return Subject(f"{seed}/{index} {how}{read_out}", given, DOMAIN, before=bare)


@functools.lru_cache(maxsize=2)
def _run(seed: int, run: int) -> tuple[Transformer, ...]:
    """One run's models, in the order of `STEPS`."""
    rng = np.random.default_rng([seed, run, 4])
    plan = _PLANS[run % len(_PLANS)]
    number = 20_000_000 + 100 * run
    while (compiled := compiled_sample(seed, number)).n_parameters > MAX_COMPILED_WEIGHTS:
        number += 1
    model = compiled if plan.from_compiled else _fresh(compiled, rng)
    names = (*ARRAY_NAMES, "W_U") if plan.biases else WEIGHTS_LEARNT
    fixed = {n: torch.tensor(getattr(model, n)) for n in ARRAY_NAMES}
    trainable = {n: torch.tensor(getattr(model, n), requires_grad=True) for n in names}
    optimizer = plan.optimizer([*trainable.values()], lr=plan.rate)  # type: ignore[call-arg]
    batches = _targets(sample_program(seed, number), compiled, rng)
    kept = []
    for step in range(1, max(STEPS) + 1):
        ids, wanted = batches[int(rng.integers(len(batches)))]
        rows = rng.integers(len(ids), size=INPUTS_A_STEP)
        found = _forward({**fixed, **trainable}, torch.tensor(ids[rows]))[:, 1:] @ trainable["W_U"]
        loss = ((found - torch.tensor(wanted[rows])) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step in STEPS:
            arrays = {n: t.detach().numpy().copy() for n, t in trainable.items()}
            kept.append(model.replace(**arrays))
    return tuple(kept)


def _fresh(compiled: Transformer, rng: np.random.Generator) -> Transformer:
    """Random weights of common sizes, with the read-out's meaning of a compiled model."""
    assert compiled.W_U is not None
    tokens, positions, outputs = len(compiled.W_E), len(compiled.W_pos), compiled.W_U.shape[1]

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        scale = 0.3 if len(shape) == 2 else D_MODEL**-0.5
        return np.asarray(scale * rng.standard_normal(shape), dtype=np.float32)

    def zero(*shape: int) -> npt.NDArray[np.float32]:
        return np.zeros(shape, dtype=np.float32)

    heads = (N_LAYERS, N_HEADS, D_MODEL, D_HEAD)
    return compiled.replace(
        W_E=normal(tokens, D_MODEL),
        W_pos=normal(positions, D_MODEL),
        W_Q=normal(*heads),
        W_K=normal(*heads),
        W_V=normal(*heads),
        W_O=normal(N_LAYERS, N_HEADS, D_HEAD, D_MODEL),
        W_in=normal(N_LAYERS, D_MODEL, D_MLP),
        W_out=normal(N_LAYERS, D_MLP, D_MODEL),
        b_Q=zero(N_LAYERS, N_HEADS, D_HEAD),
        b_K=zero(N_LAYERS, N_HEADS, D_HEAD),
        b_V=zero(N_LAYERS, N_HEADS, D_HEAD),
        b_O=zero(N_LAYERS, D_MODEL),
        b_in=zero(N_LAYERS, D_MLP),
        b_out=zero(N_LAYERS, D_MODEL),
        W_U=normal(D_MODEL, outputs),
    )


def _targets(
    program: Program, compiled: Transformer, rng: np.random.Generator
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """For each length all inputs behind BOS [n, T + 1], and what is read out [n, T, outputs]."""
    batch = Batch.of_domain(DOMAIN)
    column = batch.evaluate(program)
    values = compiled.output_values
    if values is None:
        rows = [[number_or(value, 0.0)] for value in column.values]
    else:
        rows = [[float(same_value(value, other)) for other in values] for value in column.values]
    table = np.array(rows, dtype=np.float32)
    batches = []
    for length in range(1, DOMAIN.max_seq_len + 1):
        inputs = np.flatnonzero(batch.lengths == length)
        ids = np.full((len(inputs), length + 1), len(DOMAIN.vocab), dtype=np.int64)
        ids[:, 1:] = batch.tokens.codes[inputs, :length]
        codes = column.codes[inputs, :length]
        wrong = rng.random(codes.shape) < SHARE_MISPLACED
        codes = np.where(wrong, rng.permutation(codes.ravel()).reshape(codes.shape), codes)
        batches.append((ids, table[codes]))
    return batches


def _forward(weights: dict[str, Tensor], ids: Tensor) -> Tensor:
    """`Transformer.forward` for torch: the final stream [inputs, positions, D]."""
    stream = weights["W_E"][ids] + weights["W_pos"][: ids.shape[1]]
    for layer in range(len(weights["W_Q"])):
        at = {name: array[layer] for name, array in weights.items() if name[2:] not in ("E", "U")}
        x = stream[:, None]
        query = x @ at["W_Q"] + at["b_Q"][:, None]
        key = x @ at["W_K"] + at["b_K"][:, None]
        value = x @ at["W_V"] + at["b_V"][:, None]
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        mixed = torch.softmax(scores, dim=-1) @ value @ at["W_O"]
        stream = stream + mixed.sum(dim=1) + at["b_O"]
        hidden = torch.relu(stream @ at["W_in"] + at["b_in"])
        stream = stream + hidden @ at["W_out"] + at["b_out"]
    return stream
