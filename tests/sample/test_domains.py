"""Training on several domains: the shares asked for, and items that depend on nothing else."""

from __future__ import annotations

from collections import Counter

import pytest

from untracr.compile.compiler import compile_program
from untracr.metamodel.examples import ExampleSettings, training_program
from untracr.metamodel.network import NetworkConfig
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.sample.domains import OtherDomains
from untracr.sample.exclusion import Exclusion
from untracr.sample.fingerprint import fingerprint
from untracr.sample.sampler import SamplerSettings, sample_program
from untracr.train.task import make_batch, metamodel_task

MIXED = ExampleSettings(other_domains=OtherDomains(0.4))


def test_shares_are_as_asked() -> None:
    """Of 4,800 items 40% are elsewhere, evenly over 8 vocabularies and 6 lengths.

    Bounds are 4 standard errors; seed and count are fixed, so they hold always or never.
    """
    drawn = [OtherDomains(0.4).draw(3, index) for index in range(4800)]
    others = [domain for domain in drawn if domain is not None]
    assert abs(len(others) - 1920) < 136
    assert all(domain.vocab == tuple(range(len(domain.vocab))) for domain in others)
    sizes = Counter(len(domain.vocab) for domain in others)
    lengths = Counter(domain.max_seq_len for domain in others)
    assert set(sizes) == set(range(3, 11))
    assert set(lengths) == set(range(3, 9))
    assert all(abs(n - 240) < 58 for n in sizes.values())
    assert all(abs(n - 320) < 66 for n in lengths.values())
    assert len(set(others)) == 48


def test_no_share_is_the_stream_as_it_was() -> None:
    """The usual items of a mixed stream are those of the plain one, where they stand."""
    for index in range(60):
        program, domain = training_program(5, index, MIXED)
        if domain == PAPER_DOMAIN:
            assert program == training_program(5, index)[0] == sample_program(5, index)
        else:
            assert program == sample_program(5, index, SamplerSettings(domain))
        assert OtherDomains().draw(5, index) is None


def test_items_depend_on_seed_and_index_alone() -> None:
    """Neither order nor what was drawn before matters; another seed gives others."""
    forwards = [training_program(6, index, MIXED) for index in range(40)]
    backwards = [training_program(6, index, MIXED) for index in reversed(range(40))]
    assert backwards[::-1] == forwards
    domains = {OtherDomains(1.0).draw(seed, 0) for seed in range(20)}
    assert len(domains) > 10


def test_programs_fit_their_domain() -> None:
    """Each compiles for its domain within the paper's limit on weights."""
    everywhere = ExampleSettings(other_domains=OtherDomains(1.0))
    for index in range(60):
        program, domain = training_program(7, index, everywhere)
        compiled = compile_program(program, domain.vocab, domain.max_seq_len)
        assert compiled.transformer.n_parameters <= everywhere.sampler.max_weights
        assert len(compiled.transformer.W_E) == len(domain.vocab) + 2
        assert len(compiled.transformer.W_pos) == domain.max_seq_len + 1


@pytest.mark.slow
def test_no_draw_for_another_domain_behaves_like_a_test_program() -> None:
    """What is drawn elsewhere is judged by what it does on the test set's domain."""
    excluded = Exclusion.of_sampled(777, 200)
    prints = {fingerprint(sample_program(777, i), PAPER_DOMAIN) for i in range(200)}
    everywhere = OtherDomains(1.0)

    def alike(settings: ExampleSettings) -> int:
        drawn = [training_program(8, index, settings)[0] for index in range(300)]
        return sum(fingerprint(program, PAPER_DOMAIN) in prints for program in drawn)

    assert alike(ExampleSettings(other_domains=everywhere)) > 20
    assert alike(ExampleSettings(other_domains=everywhere, excluded=excluded)) == 0


def test_a_run_knows_its_domains() -> None:
    """The share is among the settings that a checkpoint records, and batches follow it."""
    task = metamodel_task(NetworkConfig(16, 1, 2), MIXED)
    assert task.config["other_domains"] == {
        "share": 0.4,
        "vocab_sizes": [3, 10],
        "max_seq_lens": [3, 8],
    }
    mixed, plain = task.make(5, 0, 20), make_batch(5, 0, 20)
    assert (
        mixed["numbers"].shape != plain["numbers"].shape
        or (mixed["numbers"] != plain["numbers"]).any()
    )


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_senseless_shares_are_refused(share: float) -> None:
    """A share is from 0 to 1."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        OtherDomains(share)


def test_senseless_intervals_are_refused() -> None:
    """Intervals are in order and above nothing."""
    with pytest.raises(ValueError, match="vocab_sizes must be"):
        OtherDomains(0.5, vocab_sizes=(4, 3))
    with pytest.raises(ValueError, match="max_seq_lens must be"):
        OtherDomains(0.5, max_seq_lens=(0, 3))
    assert OtherDomains(1.0, (2, 2), (3, 3)).draw(0, 0) == Domain((0, 1), 3)
