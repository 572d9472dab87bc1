"""Teacher forcing asks for the right tokens, and counts ranks as said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from untracr.decompile.decompiler import Decompiler
from untracr.evaluate import forcing
from untracr.evaluate.cases import Case, folder_cases, library_cases, sampled_cases
from untracr.evaluate.evaluation import evaluate, treated
from untracr.evaluate.forcing import ForcedTokens, TopK, force, ranks
from untracr.metamodel.examples import Example
from untracr.metamodel.features import Features
from untracr.metamodel.network import Network, NetworkConfig, class_mask
from untracr.metamodel.numpy_network import NumpyNetwork, TokenPlace
from untracr.metamodel.vocabulary import CLASS_RANGES, ID, SIZE
from untracr.train.batching import collate
from untracr.transformer.named_treatments import parse_treatments
from untracr.transformer.transformer import Array

REAL = Path(__file__).parents[1] / "real"


class Decided(NumpyNetwork):
    """Gives fixed logits, one row a token, and remembers what it was fed."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.fed: list[int] = []
        self.seen = 0

    def start(self) -> Decided:  # type: ignore[override]
        """Begins anew."""
        self.fed, self.seen = [], 0
        return self

    def see(self, features: Features) -> None:
        """Counts half-layers."""
        self.seen += 1

    def feed(self, token: int, place: TokenPlace) -> Array:
        """The next row."""
        self.fed.append(token)
        return np.asarray(self.rows[len(self.fed) - 1])


def example_of(case: Case) -> Example:
    """The example of a sampled program as compiled."""
    found = forcing._as_compiled(case, case.load())
    assert found is not None
    program, compiled = found
    return forcing.MAKERS["compiled"](program, compiled, compiled.transformer)


def network() -> tuple[Network, NumpyNetwork]:
    """An untrained network, in torch and in NumPy."""
    torch.manual_seed(3)
    config = NetworkConfig(width=16, layers=2, heads=2)
    network = Network(config)
    weights: Mapping[str, Array] = {k: t.numpy() for k, t in network.state_dict().items()}
    return network, NumpyNetwork(weights, config.as_dict())


def test_a_perfect_network_finds_every_token_and_a_blind_one_none() -> None:
    """Rank 0 where the target is likeliest; ties count against the network."""
    case = sampled_cases(5, 1).cases[0]
    example = example_of(case)
    rows = np.zeros((len(example.targets), SIZE), dtype=np.float32)
    blind = Decided(rows.copy())
    rows[np.arange(len(rows)), example.targets] = 1.0
    perfect = Decided(rows)
    assert (ranks(perfect, example) == 0).all()
    assert perfect.fed == example.inputs.tolist()
    assert perfect.seen == len(set(example.step.tolist()))
    sizes = [last - first for first, last in CLASS_RANGES.values()]
    assert set(ranks(blind, example).tolist()) <= {size - 1 for size in sizes}
    assert (ranks(blind, example) > 0).all()


def test_logits_that_are_no_numbers_are_never_first() -> None:
    """NaN is not as likely as anything: the target comes last."""
    example = example_of(sampled_cases(5, 1).cases[0])
    rows = np.full((len(example.targets), SIZE), np.nan, dtype=np.float32)
    assert (ranks(Decided(rows), example) > 0).all()


def test_tokens_of_other_classes_do_not_count() -> None:
    """A likelier token that the grammar rules out does not push the right one down."""
    example = example_of(sampled_cases(5, 1).cases[0])
    rows = np.zeros((len(example.targets), SIZE), dtype=np.float32)
    rows[np.arange(len(rows)), example.targets] = 1.0
    rows[:, ID["slot 3"]] = 2.0
    classes = np.array([forcing._class(int(target)) for target in example.targets])
    found = ranks(Decided(rows), example)
    assert (found[classes != "variable"] == 0).all()
    wrong = (classes == "variable") & (example.targets != ID["slot 3"])
    assert (found[wrong] == 1).all()


def test_ranks_are_those_of_the_torch_network() -> None:
    """Fed token by token in NumPy, an example gets the ranks that training's pass gives it."""
    slow, fast = network()
    for case in sampled_cases(6, 5).cases:
        example = example_of(case)
        with torch.no_grad():
            logits = slow(collate([example]))[0].numpy().astype(np.float64)
        mask = class_mask().numpy()[example.targets]
        wanted = logits[np.arange(len(logits)), example.targets]
        expected = ((logits >= wanted[:, None]) & mask).sum(axis=1) - 1
        assert np.mean(ranks(fast, example) == expected) > 0.98  # but for rounding


@pytest.mark.parametrize("name", forcing.MAKERS)
def test_real_and_sampled_models_have_examples(name: str) -> None:
    """Under each treatment that examples can be made for, none is left out."""
    _, fast = network()
    (treatment,) = parse_treatments(name)
    for case in (*folder_cases(REAL).cases[:3], *sampled_cases(6, 3).cases):
        model = case.load()
        found = force(fast, case, model, treated(model, treatment, 0, 0), name)
        assert found is not None, case.name
        assert found.length == case.program.length
        assert len(found.kinds) == len(found.ranks)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compiled", "rotated"])
def test_all_tokens_right_means_token_exact(name: str) -> None:
    """The released network writes exactly those programs greedily whose tokens it all finds.

    So the examples show what is read off the treated weights. (But for equal likelihoods,
    and tokens that only the scope rules out.)
    """
    decompiler = Decompiler()
    fast = NumpyNetwork.load(decompiler.checkpoint)
    cases = folder_cases(REAL)
    cases = replace(cases, cases=cases.cases[:30])
    (treatment,) = parse_treatments(name)
    report = evaluate(decompiler, cases, treatment, 0)
    agree = 0
    for number, (case, outcome) in enumerate(zip(cases.cases, report.outcomes, strict=True)):
        model = case.load()
        found = force(fast, case, model, treated(model, treatment, 0, number), name)
        assert found is not None
        agree += bool((found.ranks == 0).all()) == outcome.exact
    assert agree >= 29
    assert sum(outcome.exact for outcome in report.outcomes) >= 10


def test_what_no_example_can_be_made_of_is_left_out() -> None:
    """Other weights than ours give none; functions outside the lists are tables, and do."""
    _, fast = network()
    case = sampled_cases(6, 1).cases[0]
    model = case.load()
    changed = model.replace(W_E=model.W_E + 1)
    assert force(fast, case, changed, changed, "compiled") is None
    assert force(fast, replace(case, source="not RASP"), model, model, "compiled") is not None
    sort = next(case for case in library_cases().cases if case.name == "sort")
    assert not sort.in_language
    assert force(fast, sort, sort.load(), sort.load(), "compiled") is not None


def test_top_k_sums_up() -> None:
    """Ranks 0, 2, 4 and 5: 1 of 4 in the first, 2 in the first three, 3 in the first five."""
    kinds = ("variable", "variable", "factor", "factor")
    first = ForcedTokens(4, np.array([0, 2, 4, 5]), kinds)
    second = ForcedTokens(5, np.array([0, 0]), ("variable", "predicate"))
    found = TopK.of([first, second, None])
    assert [(s.count, s.total) for s in found.tokens.values()] == [(3, 6), (4, 6), (5, 6)]
    assert [s.count for s in found.by_kind["factor"].values()] == [0, 0, 1]
    assert [s.count for s in found.by_length[5].values()] == [2, 2, 2]
    assert (found.programs.count, found.programs.total, found.left_out) == (1, 2, 1)
