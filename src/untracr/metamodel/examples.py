"""Training examples: a program, its components half-layer by half-layer, and its tokens.

The frame of each half-layer is the true one (teacher forcing): every variable
of earlier half-layers, as if decoded rightly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.compile.canonical import canonicalise
from untracr.compile.compiler import Compiled, compile_program
from untracr.metamodel.features import INTEGER_SIZES, N_NUMBERS, N_SLOT_CODES, Features, features
from untracr.metamodel.targets import answer
from untracr.metamodel.vocabulary import EOL, FIRST_SLOT, ID, N_SLOTS, SIZE, START, ids_of
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.read.components import is_operation
from untracr.read.frame import Base
from untracr.read.operations import Operation
from untracr.read.reader import Reader
from untracr.read.scope import true_variables
from untracr.sample.domains import NO_OTHERS, OtherDomains
from untracr.sample.exclusion import NO_EXCLUSION, Exclusion, sample_outside
from untracr.sample.outside import with_outside_functions
from untracr.sample.sampler import PAPER, SamplerSettings
from untracr.sample.treatment_shares import ALL_AS_COMPILED, TreatmentShares
from untracr.short_repr import short_repr
from untracr.transformer.named_treatments import Treated

AXIS_SIGNS_SHARE = 0.7
"""Share of training examples that may take a sign from the axes, as raw weights show it."""


@dataclass(frozen=True)
class Example:
    """One program, ready for the network. T tokens, C components.

    Attributes:
        integers: [C, features]; numbers: [C, features]: components of all
            half-layers that hold an operation.
        component_step: [C], which step (half-layer with operations) each is of.
        inputs: [T] token ids fed; targets: [T] token ids wanted.
        step: [T], the step of each target.
        ordinal: [T], its operation's number within the step.
        field: [T], 0 for a kind or EOL, then 1, 2, ... for arguments.
    """

    integers: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float32]
    component_step: npt.NDArray[np.int64]
    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    ordinal: npt.NDArray[np.int64]
    field: npt.NDArray[np.int64]

    __repr__ = short_repr


@dataclass(frozen=True)
class ExampleSettings:
    """What a stream of training examples is made of.

    Attributes:
        sampler: which programs are drawn, and for which domain.
        other_domains: how many are drawn for which other domains instead.
        treatments: how many are read from weights that are not as compiled.
        outside_functions: the share of programs some of whose functions are outside
            the closed lists.
        excluded: test sets that are left out.

    Raises:
        ValueError: ``outside_functions`` is not from 0 to 1.
    """

    sampler: SamplerSettings = PAPER
    other_domains: OtherDomains = NO_OTHERS
    treatments: TreatmentShares = ALL_AS_COMPILED
    outside_functions: float = 0.0
    excluded: Exclusion = NO_EXCLUSION

    def __post_init__(self) -> None:
        if not 0 <= self.outside_functions <= 1:
            raise ValueError(f"a share must be from 0 to 1, not {self.outside_functions}")

    def as_dict(self) -> dict[str, Any]:
        """What a checkpoint records: plain JSON values, different for other settings."""
        sampler = asdict(self.sampler)
        domain = self.sampler.domain
        sampler["domain"] = {"vocab": list(domain.vocab), "max_seq_len": domain.max_seq_len}
        return {
            "sampler": sampler,
            "other_domains": self.other_domains.as_dict(),
            "treatments": self.treatments.as_pairs(),
            "outside_functions": self.outside_functions,
            "excluded": {"sets": list(self.excluded.sets), "digest": self.excluded.digest},
        }


DEFAULT = ExampleSettings()


def training_program(
    seed: int, index: int, settings: ExampleSettings = DEFAULT
) -> tuple[Program, Domain]:
    """The program of `training_example`, and the domain it is compiled for.

    Args:
        seed, index: as for `sample_program`.
        settings: of the stream.

    Raises:
        ValueError: seed or index is negative.
    """
    domain = settings.other_domains.draw(seed, index) or settings.sampler.domain
    sampler = replace(settings.sampler, domain=domain)
    program = sample_outside(seed, index, settings.excluded, sampler)
    rng = Random(f"outside functions/{seed}/{index}")
    if settings.outside_functions and rng.random() < settings.outside_functions:
        changed = with_outside_functions(program, rng, sampler)
        if changed is not None and not settings.excluded.holds(changed):
            return canonicalise(changed), domain
    return program, domain


def training_example(seed: int, index: int, settings: ExampleSettings = DEFAULT) -> Example:
    """Example ``index`` of the stream ``seed``: a freshly drawn program, compiled and read.

    A pure function of its arguments.

    Args:
        seed, index: as for `sample_program`.
        settings: of the stream.

    Raises:
        ValueError: seed or index is negative.
    """
    program, domain = training_program(seed, index, settings)
    compiled = compile_program(program, domain.vocab, domain.max_seq_len)
    treated = settings.treatments.treat(compiled.transformer, seed, index)
    rng = Random(f"example/{seed}/{index}")
    axis_signs = rng.random() < AXIS_SIGNS_SHARE
    return shuffle_slots(example_of(program, compiled, treated, axis_signs=axis_signs), rng)


def shuffle_slots(example: Example, rng: Random) -> Example:
    """Renames the operations' slots at random, in what is read and in what is written.

    Names then mean nothing, and those that only long programs need are trained too.
    """
    order = list(range(2, N_SLOTS))
    rng.shuffle(order)
    renamed = np.arange(SIZE)
    renamed[FIRST_SLOT + 2 : FIRST_SLOT + N_SLOTS] = FIRST_SLOT + np.array(order)
    codes = np.arange(N_SLOT_CODES)
    codes[2:N_SLOTS] = order
    integers = example.integers.copy()
    integers[:, 1:4] = codes[integers[:, 1:4]]
    return replace(
        example,
        integers=integers,
        inputs=renamed[example.inputs],
        targets=renamed[example.targets],
    )


def example_of(
    program: Program,
    compiled: Compiled,
    treated: Treated | None = None,
    *,
    axis_signs: bool = True,
) -> Example:
    """Makes the example of a compiled program.

    Args:
        program: what the network shall write.
        compiled: its weights, and where they hold what.
        treated: the weights to be read; by default the compiled ones.
        axis_signs: see `Reader`.

    Raises:
        ProgramError: the program holds an operation outside the meta-model's language.
    """
    n_vocab = len(compiled.token_values) - 2
    treated = treated or Treated(compiled.transformer)
    base = Base.of(treated.model, compiled.token_values[:n_vocab])
    variables, order = true_variables(program, compiled, base, treated.basis)
    reader = Reader(treated.model, base, axis_signs=axis_signs)
    wanted = answer(program, compiled, order, variables)
    variables = wanted.variables
    steps: list[tuple[Features, list[Operation]]] = []
    for half_layer in reader.half_layers:
        here = [r for r in order if compiled.node_map[r].half_layer == half_layer]
        components = [c for c in reader.components(half_layer, variables) if is_operation(c)]
        if components:
            known = [v for v in variables if v.available_from <= half_layer]
            operations = [wanted.operations[ref] for ref in here]
            steps.append((features(reader, components, known), operations))
    return _pack(steps)


def _pack(steps: Sequence[tuple[Features, list[Operation]]]) -> Example:
    targets: list[int] = []
    places: list[tuple[int, int, int]] = []
    for step, (_, operations) in enumerate(steps):
        for ordinal, operation in enumerate(operations):
            ids = ids_of(operation)
            targets += ids
            places += [(step, ordinal, field) for field in range(len(ids))]
        targets.append(ID[EOL])
        places.append((step, len(operations), 0))
    step_, ordinal_, field_ = np.array(places, dtype=np.int64).reshape(-1, 3).T
    sizes = [len(f.integers) for f, _ in steps]
    return Example(
        integers=np.concatenate(
            [f.integers for f, _ in steps] or [np.zeros((0, len(INTEGER_SIZES)), dtype=np.int64)]
        ),
        numbers=np.concatenate(
            [f.numbers for f, _ in steps] or [np.zeros((0, N_NUMBERS), dtype=np.float32)]
        ),
        component_step=np.repeat(np.arange(len(steps)), sizes),
        inputs=np.array([ID[START], *targets[:-1]], dtype=np.int64),
        targets=np.array(targets, dtype=np.int64),
        step=step_,
        ordinal=ordinal_,
        field=field_,
    )
