"""Programs of a test set are never trained on."""

from __future__ import annotations

import numpy as np

from real_models import REAL, real_records
from untracr.cli.train import excluded_programs
from untracr.compile.canonical import program_from_paper_tokens
from untracr.metamodel.examples import training_example
from untracr.metamodel.network import NetworkConfig
from untracr.metamodel.task import make_batch, metamodel_task
from untracr.sample.deduplication import program_key
from untracr.sample.exclusion import REDRAW, exclusion_digest, sample_outside
from untracr.sample.sampler import sample_program

SEED = 1


def test_only_excluded_programs_are_replaced() -> None:
    """Others stay where they are in the stream; substitutes are of the stream and not excluded."""
    drawn = [sample_program(SEED, i) for i in range(30)]
    excluded = frozenset(program_key(program) for program in drawn[::3])
    for i, program in enumerate(drawn):
        found = sample_outside(SEED, i, excluded)
        if program_key(program) in excluded:
            assert program_key(found) not in excluded
            assert found == sample_program(SEED, i + REDRAW)
        else:
            assert found == program
        assert found == sample_outside(SEED, i, excluded)


def test_real_programs_never_reach_training() -> None:
    """Examples of the training stream that would be real programs are others instead.

    Among the first 2,000 programs of the released run's stream some are real ones (short
    programs repeat), so that this test would fail if exclusion did nothing.
    """
    excluded = excluded_programs([REAL])
    assert excluded == {
        program_key(program_from_paper_tokens(record["tokens"])) for record in real_records()
    }
    met = [i for i in range(2000) if program_key(sample_program(SEED, i)) in excluded]
    assert met
    for index in met:
        with_it = training_example(SEED, index)
        without = training_example(SEED, index, excluded=excluded)
        substitute = sample_outside(SEED, index, excluded)
        assert program_key(substitute) not in excluded
        assert len(with_it.targets) != len(without.targets) or not np.array_equal(
            with_it.numbers, without.numbers
        )


def test_a_run_knows_what_it_leaves_out() -> None:
    """Batches of the task leave the programs out, and its settings name the exclusion."""
    excluded = frozenset([program_key(sample_program(SEED, 0))])
    task = metamodel_task(NetworkConfig(16, 1, 2), excluded)
    assert task.config["excluded"] == exclusion_digest(excluded) != exclusion_digest(frozenset())
    given, plain = task.make(SEED, 0, 1), make_batch(SEED, 0, 1)
    assert given["targets"].shape != plain["targets"].shape or not np.array_equal(
        given["numbers"], plain["numbers"]
    )
