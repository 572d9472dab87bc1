"""Fingerprints: equal for equal behaviour, and as quick as remembered results allow."""

from __future__ import annotations

import itertools

import pytest

from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import behaviour_key, decide_equivalence
from untracr.sample.acceptance import SAMPLING_INPUTS, fixed_inputs
from untracr.sample.fingerprint import fingerprint
from untracr.sample.known import Known, rounded_name
from untracr.sample.sampler import sample_programs
from untracr.syntax.parsing import parse

OTHER = Domain((0, 1, 2, 3, 4, 5, 6), 4)


@pytest.mark.parametrize("domain", [PAPER_DOMAIN, OTHER], ids=["paper", "other"])
def test_remembered_results_are_those_of_the_interpreter(domain: Domain) -> None:
    """The quick way through the sampler's memory gives what evaluating afresh gives."""
    batch = fixed_inputs(domain, SAMPLING_INPUTS)
    for program in itertools.islice(sample_programs(21), 300):
        assert fingerprint(program, domain) == Known.of(batch, batch.evaluate(program)).fingerprint


@pytest.mark.slow
def test_equal_behaviour_gives_equal_fingerprints() -> None:
    """Of 600 random programs many behave like another one; all of these share fingerprints.

    The other way round few are taken for each other that are not, so that hardly a program
    is left out for nothing.
    """
    programs = list(itertools.islice(sample_programs(22), 600))
    prints: dict[bytes, bytes | None] = {}
    for program in programs:
        found = fingerprint(program, PAPER_DOMAIN)
        assert prints.setdefault(behaviour_key(program, PAPER_DOMAIN), found) == found
    assert len(prints) < 560
    assert len(prints) - len(set(prints.values())) < 6


@pytest.mark.parametrize(
    ("fst", "snd"),
    [
        (
            "a = Map(lambda x: x == 1, tokens)\n",
            "a = Map(lambda x: 1.0 if x == 1 else 0, tokens)\n",
        ),
        ("a = Map(lambda x: x + 0.1 + 0.2, tokens)\n", "a = Map(lambda x: x + 0.3, tokens)\n"),
        ("a = Map(lambda x: x, tokens)\n", "a = Map(lambda x: 7 if x == 9 else x, tokens)\n"),
        ("a = Map(lambda x: x / 3, tokens)\n", "a = Map(lambda x: x * (1 / 3), tokens)\n"),
    ],
)
def test_values_that_count_as_equal_are_not_told_apart(fst: str, snd: str) -> None:
    """Types, rounding errors and values that never occur do not count."""
    a, b = parse(fst), parse(snd)
    assert decide_equivalence(a, b, PAPER_DOMAIN).equal
    assert fingerprint(a, PAPER_DOMAIN) == fingerprint(b, PAPER_DOMAIN)


def test_other_behaviour_is_told_apart() -> None:
    """None, texts and numbers all count; so do defaults and composite selectors."""
    sources = [
        *(
            f"a = Map(lambda x: {f}, tokens)\n"
            for f in ("x", "x + 1", "None if x == 0 else x", "'0' if x == 0 else x", "x + 0.001")
        ),
        *(
            f"s = Select(tokens, indices, Comparison.LT)\na = Aggregate(s, indices, default={d})\n"
            for d in (None, 0, 7)
        ),
        "s = SelectorNot(Select(tokens, tokens, Comparison.EQ))\na = SelectorWidth(s)\n",
        "s = Select(tokens, tokens, Comparison.EQ)\na = SelectorWidth(s)\n",
    ]
    found = [fingerprint(parse(source), PAPER_DOMAIN) for source in sources]
    assert None not in found
    assert len(set(found)) == len(sources)


def test_a_program_that_fails_has_no_fingerprint() -> None:
    """On a domain where it fails there is nothing to compare."""
    program = parse("a = Map(lambda x: 1 / x, tokens)\n")
    assert fingerprint(program, PAPER_DOMAIN) is None
    assert fingerprint(program, Domain((1, 2, 3), 3)) is not None


def test_rounding() -> None:
    """Numbers nearer than any tolerance have one name, huge integers one of their own."""
    assert rounded_name(True) == rounded_name(1) == rounded_name(1 + 1e-12) == "1"
    assert rounded_name(-1e-12) == rounded_name(0.0) == "0"
    assert rounded_name(1) != rounded_name("1")
    assert rounded_name(10**400) != rounded_name(10**400 + 1)
