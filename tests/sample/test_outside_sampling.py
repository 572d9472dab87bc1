"""Sampled programs with functions outside the closed lists."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from random import Random

import pytest

from untracr.compile.compiler import compile_program
from untracr.compile.values import value_sets
from untracr.metamodel.examples import DEFAULT, ExampleSettings, training_program
from untracr.metamodel.network import NetworkConfig
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.functions import Comparison, Formula, Table
from untracr.rasp.naming import is_listed
from untracr.rasp.nodes import Map, Select, SequenceMap
from untracr.rasp.program import Program, print_program
from untracr.sample.acceptance import acceptable
from untracr.sample.domains import OtherDomains
from untracr.sample.exclusion import Exclusion
from untracr.sample.outside import with_outside_functions
from untracr.sample.sampler import PAPER, sample_program
from untracr.syntax.parsing import parse
from untracr.train.task import metamodel_task

ALL = ExampleSettings(outside_functions=1.0)


def changed_programs(count: int) -> list[Program]:
    found = (with_outside_functions(sample_program(91, n), Random(n)) for n in range(count))
    return [program for program in found if program is not None]


def test_the_same_seed_gives_the_same_program() -> None:
    """What is drawn depends on seed and index alone."""
    for index in (0, 5, 9):
        fst, again = (training_program(92, index, ALL)[0] for _ in range(2))
        assert fst == again
    assert training_program(92, 0, ALL) != training_program(93, 0, ALL)


def test_most_programs_can_be_changed() -> None:
    """Nearly every sampled program has acceptable versions with other functions."""
    programs = changed_programs(150)
    assert len(programs) >= 140
    assert not any(is_listed(program) for program in programs if _has_table(program))
    outside = sum(not is_listed(program) for program in programs)
    assert outside >= 0.95 * len(programs)


def _has_table(program: Program) -> bool:
    return any(isinstance(f, Table) for f in functions_of(program))


def functions_of(program: Program) -> list[object]:
    found: list[object] = []
    for ref in program.reachable:
        node = program.nodes[ref]
        if isinstance(node, (Map, SequenceMap)):
            found.append(node.function)
        elif isinstance(node, Select):
            found.append(node.predicate)
    return found


def test_programs_pass_the_samplers_checks() -> None:
    """They compile, print and read back, and are no more degenerate than sampled ones."""
    kinds: Counter[str] = Counter()
    for program in changed_programs(60):
        assert acceptable(
            program, PAPER_DOMAIN, max_tokens=PAPER.max_tokens, max_weights=PAPER.max_weights
        )
        compile_program(program, PAPER_DOMAIN.vocab, PAPER_DOMAIN.max_seq_len)
        assert parse(print_program(program)) == program
        kinds.update(type(f).__name__ for f in functions_of(program))
    assert min(kinds[kind.__name__] for kind in (Table, Formula, Comparison)) >= 20


def test_no_function_is_constant() -> None:
    """Every Map and SequenceMap gives at least two values, and always one."""
    for program in changed_programs(60):
        sets = value_sets(program, PAPER_DOMAIN.vocab, PAPER_DOMAIN.max_seq_len)
        for ref in program.sops:
            node = program.nodes[ref]
            if not isinstance(node, (Map, SequenceMap)):
                continue
            inner = (node.inner,) if isinstance(node, Map) else (node.fst, node.snd)
            arguments = itertools.product(*(sets[i].ordered for i in inner))
            results = {node.function(*a) for a in arguments}
            assert len(results) > 1
            assert None not in results


@pytest.mark.slow
def test_the_share_is_as_asked() -> None:
    """Of 600 programs about a fifth are changed, and the others are those of the plain stream."""
    some = ExampleSettings(outside_functions=0.2)
    changed = 0
    for index in range(600):
        program = training_program(94, index, some)[0]
        same = program == training_program(94, index)[0]
        assert same or not is_listed(program) or len(program.nodes) > 2
        changed += not same
    assert abs(changed - 120) < 4 * math.sqrt(600 * 0.2 * 0.8)


def test_other_domains_have_their_own_tables() -> None:
    """A program for another domain is changed for that domain, and compiles there."""
    settings = ExampleSettings(outside_functions=1.0, other_domains=OtherDomains(1.0))
    for index in range(25):
        program, domain = training_program(95, index, settings)
        assert domain != PAPER_DOMAIN or not is_listed(program)
        compile_program(program, domain.vocab, domain.max_seq_len)


def test_excluded_behaviours_are_not_made() -> None:
    """A change that behaves as a test program does is not kept."""
    program, domain = training_program(96, 0, ALL)
    assert program != training_program(96, 0)[0]
    excluded = ExampleSettings(
        outside_functions=1.0, excluded=Exclusion.of("one", [(program, domain)])
    )
    assert not excluded.excluded.holds(training_program(96, 0, excluded)[0])


def test_the_share_is_recorded() -> None:
    """A checkpoint says how many such programs it was trained on."""
    task = metamodel_task(NetworkConfig(), ExampleSettings(outside_functions=0.25))
    assert task.config["outside_functions"] == 0.25
    assert DEFAULT.as_dict()["outside_functions"] == 0.0


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    """Other shares make no sense."""
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        ExampleSettings(outside_functions=share)
