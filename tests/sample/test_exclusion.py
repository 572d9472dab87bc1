"""No program of a test set reaches training, and none that behaves like one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from real_models import REAL, real_records
from untracr.cli.stream_options import exclusion_of
from untracr.compile.canonical import program_from_paper_tokens
from untracr.errors import ModelFileError
from untracr.metamodel.examples import ExampleSettings, training_example, training_program
from untracr.metamodel.network import NetworkConfig
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import behaviour_key, columns_differ
from untracr.rasp.interpreter import Batch
from untracr.rasp.program import Program
from untracr.sample.deduplication import program_key
from untracr.sample.exclusion import NO_EXCLUSION, REDRAW, Exclusion, sample_outside
from untracr.sample.sampler import sample_program
from untracr.syntax.parsing import parse
from untracr.train.task import make_batch, metamodel_task

SEED = 1
HELD_OUT = (777, 1000)
DRAWS = 2000


def of_programs(programs: list[Program]) -> Exclusion:
    return Exclusion.of("some", [(program, PAPER_DOMAIN) for program in programs])


@pytest.fixture(scope="module")
def excluded() -> Exclusion:
    """Both test sets: the 100 real programs, and 1,000 of our sampler."""
    return exclusion_of([REAL], [HELD_OUT])


@pytest.fixture(scope="module")
def held_out() -> list[Program]:
    """The programs of both test sets, found without the code under test."""
    real = [program_from_paper_tokens(record["tokens"]) for record in real_records()]
    return real + [sample_program(HELD_OUT[0], index) for index in range(HELD_OUT[1])]


@pytest.fixture(scope="module")
def behaviours(held_out: list[Program]) -> set[bytes]:
    """What the test programs do on all 3,905 inputs."""
    return {behaviour_key(program, PAPER_DOMAIN) for program in held_out}


@pytest.mark.slow
def test_training_and_test_programs_are_disjoint(
    excluded: Exclusion, held_out: list[Program], behaviours: set[bytes]
) -> None:
    """Of 2,000 training draws none is a test program, nor behaves like one on every input.

    Without the exclusion, of the first 500 draws some are and more than a fifth behave like one.
    """

    def leaks(programs: list[Program]) -> tuple[int, int]:
        keys = {program_key(program) for program in held_out}
        same = sum(program_key(program) in keys for program in programs)
        alike = sum(behaviour_key(program, PAPER_DOMAIN) in behaviours for program in programs)
        return same, alike

    settings = ExampleSettings(excluded=excluded)
    assert leaks([training_program(SEED, i, settings)[0] for i in range(DRAWS)]) == (0, 0)
    same, alike = leaks([training_program(SEED, i)[0] for i in range(500)])
    assert same > 10
    assert alike > 100


@pytest.mark.slow
def test_what_is_excluded_is_decided_input_by_input(held_out: list[Program]) -> None:
    """A draw is left out if no input tells it from some test program; else hardly ever.

    Outputs are compared with a tolerance as `decide_equivalence` does it, not by digests. What
    is left out for nothing differs on inputs that are not among those of the fingerprint.
    """
    batch = Batch.of_domain(PAPER_DOMAIN)
    tests = held_out[:200]
    excluded = of_programs(tests)
    outputs = [batch.evaluate(program) for program in tests]
    inside = outside = for_nothing = 0
    for index in range(60):
        program = sample_program(SEED, index)
        found = batch.evaluate(program)
        if any(not (columns_differ(found, other) & batch.valid).any() for other in outputs):
            assert excluded.holds(program)
            inside += 1
        else:
            for_nothing += excluded.holds(program)
            outside += 1
    assert inside >= 3
    assert outside >= 20
    assert for_nothing <= 2


def test_only_excluded_programs_are_replaced() -> None:
    """Others stay where they are in the stream; substitutes are of the stream and not excluded."""
    drawn = [sample_program(SEED, i) for i in range(30)]
    excluded = of_programs(drawn[::3])
    replaced = 0
    for i, program in enumerate(drawn):
        found = sample_outside(SEED, i, excluded)
        assert not excluded.holds(found)
        if excluded.holds(program):
            steps = [sample_program(SEED, i + n * REDRAW) for n in range(1, 20)]
            assert found == next(p for p in steps if not excluded.holds(p))
            replaced += 1
        else:
            assert found == program
        assert found == sample_outside(SEED, i, excluded)
        assert program == sample_outside(SEED, i)
    assert 10 <= replaced < 30


def test_a_program_written_otherwise_is_excluded_too() -> None:
    """What counts is what a program does on the test set's domain, not how it is written."""
    test = parse("c = SequenceMap(lambda x, y: x * y, tokens, indices)\n")
    excluded = of_programs([test])
    assert excluded.holds(parse("c = SequenceMap(lambda x, y: x * y, indices, tokens)\n"))
    assert not excluded.holds(parse("c = SequenceMap(lambda x, y: x + y, indices, tokens)\n"))
    assert not NO_EXCLUSION.holds(test)
    small = Exclusion.of("small", [(test, Domain((0, 1), 2))])
    assert small.holds(parse("c = SequenceMap(lambda x, y: x and y, tokens, indices)\n"))


def test_a_test_program_that_fails_is_excluded_as_written() -> None:
    """It has no behaviour to go by."""
    test = parse("a = Map(lambda x: 1 / x, tokens)\n")
    excluded = of_programs([test])
    assert excluded.failing
    assert excluded.holds(test)
    assert not excluded.holds(parse("a = Map(lambda x: 2 / x, tokens)\n"))


def test_exclusions_add_up() -> None:
    """A union holds what either holds, on each domain, and is named by both."""
    fst = of_programs([sample_program(SEED, 0)])
    snd = Exclusion.of("other", [(sample_program(SEED, 1), Domain((0, 1, 2), 3))])
    both = fst | snd
    assert both.sets == ("some", "other")
    assert both.holds(sample_program(SEED, 0))
    assert both.holds(sample_program(SEED, 1))
    assert len({e.digest for e in (NO_EXCLUSION, fst, snd, both)}) == 4
    assert (snd | fst).digest == both.digest == (both | fst).digest
    assert NO_EXCLUSION | fst == fst


@pytest.mark.slow
def test_real_programs_never_reach_training() -> None:
    """Examples of the training stream that would be real programs are others instead."""
    excluded = exclusion_of([REAL], [])
    assert excluded.sets == (REAL.name,)
    keys = {program_key(program_from_paper_tokens(r["tokens"])) for r in real_records()}
    met = [i for i in range(2000) if program_key(sample_program(SEED, i)) in keys]
    assert met
    for index in met:
        with_it = training_example(SEED, index)
        without = training_example(SEED, index, ExampleSettings(excluded=excluded))
        assert len(with_it.targets) != len(without.targets) or not np.array_equal(
            with_it.numbers, without.numbers
        )


def test_a_run_knows_what_it_leaves_out() -> None:
    """Batches of the task leave the programs out, and its settings name the exclusion."""
    excluded = exclusion_of([], [(SEED, 1)])
    task = metamodel_task(NetworkConfig(16, 1, 2), ExampleSettings(excluded=excluded))
    assert task.config["excluded"] == {"sets": ["sampled 1:1"], "digest": excluded.digest}
    plain = metamodel_task(NetworkConfig(16, 1, 2))
    assert plain.config["excluded"] == {"sets": [], "digest": NO_EXCLUSION.digest}
    given, without = task.make(SEED, 0, 1), make_batch(SEED, 0, 1)
    assert given["targets"].shape != without["targets"].shape or not np.array_equal(
        given["numbers"], without["numbers"]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ('{"name": "a", "tokens": ["x"], "vocab": [0, 1], "max_seq_len": 2}', "program a: not"),
        ('{"name": "a"}', "a line needs name, tokens"),
    ],
)
def test_damaged_test_sets_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """A set that cannot be left out is told, never passed over."""
    (tmp_path / "programs.jsonl").write_text(text)
    with pytest.raises(ModelFileError, match=message) as caught:
        exclusion_of([tmp_path], [])
    assert str(tmp_path) in str(caught.value)
