"""Which heads and neurons carry each line, in the model's own numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from real_models import REAL
from untracr.cli import main
from untracr.cli.result_text import program_text, result_text
from untracr.compile.canonical import canonicalise
from untracr.compile.compiler import Compiled, compile_program
from untracr.decompile.bundled import decompile_model
from untracr.decompile.result import Result, Search
from untracr.loading.loading import load_model
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program, print_program
from untracr.shown_text import count
from untracr.syntax.parsing import parse
from untracr.transformer import treatments
from untracr.transformer.transformer import Transformer
from untracr.verify.attribution import Attribution, attributions
from untracr.verify.evidence import Evidence

DOMAIN = Domain((0, 1, 2), 3)
SOURCE = """
same = Select(tokens, tokens, Comparison.EQ)
hist = SelectorWidth(same)
before = Select(indices, indices, Comparison.LT)
place = SelectorWidth(before)
product = SequenceMap(lambda x, y: x * y, hist, tokens)
late = Select(product, hist, Comparison.GT)
end = Aggregate(late, place)
"""


@pytest.fixture
def program() -> Program:
    """Two SelectorWidths side by side, and what reads them."""
    return canonicalise(parse(SOURCE))


@pytest.fixture
def compiled(program: Program) -> Compiled:
    """Its weights."""
    return compile_program(program, DOMAIN.vocab, DOMAIN.max_seq_len)


def by_line(found: tuple[Attribution, ...]) -> dict[str, Attribution]:
    """Attributions by the first word of their line."""
    return {attribution.text.split()[0]: attribution for attribution in found}


def test_a_compiled_model_is_carried_as_compiled(program: Program, compiled: Compiled) -> None:
    """Heads, neurons and dimensions are those that the compiler placed, one attribution a line."""
    found = attributions(compiled.transformer, program, DOMAIN)
    assert [c.text for c in found] == print_program(program).splitlines()
    assert all(c.known for c in found)
    for attribution in found:
        if attribution.ref not in compiled.node_map:
            assert (attribution.neurons, attribution.dims, attribution.layer) == ((), (), None)
            continue
        parts = compiled.node_map[attribution.ref]
        assert attribution.heads == parts.heads
        assert attribution.layer == parts.layer
        assert set(parts.neurons) <= set(attribution.neurons)
        assert attribution.dims == parts.dims


def test_a_selector_is_carried_by_the_heads_that_read_it() -> None:
    """Read twice, by operations of two layers, it is in two heads."""
    program = canonicalise(
        parse(
            "same = Select(tokens, tokens, Comparison.EQ)\n"
            "a = Aggregate(same, indices)\n"
            "b = numerical(Map(lambda x: x > 1, a))\n"
            "c = numerical(Aggregate(same, b, default=0))\n"
        )
    )
    compiled = compile_program(program, DOMAIN.vocab, DOMAIN.max_seq_len)
    found = attributions(compiled.transformer, program, DOMAIN)
    heads = sorted(h for part in compiled.node_map.values() for h in part.heads)
    assert len({layer for layer, _ in heads}) == 2
    assert found[0].heads == tuple(heads)
    assert found[0].place == "layer 0 head 0; layer 1 head 0"


def test_the_neuron_that_corrects_bos_belongs_to_every_selector_width(
    program: Program, compiled: Compiled
) -> None:
    """All living neurons of the layer have a line; only this one has two."""
    found = [c for c in attributions(compiled.transformer, program, DOMAIN) if "Width" in c.text]
    assert [c.layer for c in found] == [0, 0]
    (shared,) = set(found[0].neurons) & set(found[1].neurons)
    weights = compiled.transformer
    assert np.flatnonzero(weights.W_in[0][:, shared]).tolist() == [
        compiled.residual.dim("tokens") + compiled.bos_id
    ]
    alive = np.flatnonzero(np.abs(weights.W_in[0]).max(axis=0) > 0)
    assert sorted({*found[0].neurons, *found[1].neurons}) == alive.tolist()


def moved(model: Transformer, seed: int) -> tuple[Transformer, list[np.ndarray]]:
    """A model with axes, heads and neurons reordered, and the three orders."""
    rng = np.random.default_rng(seed)
    axes = rng.permutation(model.d_model)
    heads = np.stack([rng.permutation(model.n_heads) for _ in range(model.n_layers)])
    neurons = np.stack([rng.permutation(model.d_mlp) for _ in range(model.n_layers)])
    model = treatments.permute_residual(model, rng, axes)
    model = treatments.permute_heads(model, rng, heads)
    return treatments.permute_neurons(model, rng, neurons), [axes, heads, neurons]


@pytest.mark.parametrize("seed", range(3))
def test_reordered_models_name_their_own_parts(
    program: Program, compiled: Compiled, seed: int
) -> None:
    """The new number of each head, neuron and dimension is told, not the compiled one."""
    model, (axes, heads, neurons) = moved(compiled.transformer, seed)
    plain = by_line(attributions(compiled.transformer, program, DOMAIN))
    found = by_line(attributions(model, program, DOMAIN))
    assert found != plain
    for name, attribution in found.items():
        before = plain[name]
        assert attribution.dims == tuple(int(np.flatnonzero(axes == d)[0]) for d in before.dims)
        new = [(la, int(np.flatnonzero(heads[la] == h)[0])) for la, h in before.heads]
        assert attribution.heads == tuple(sorted(new))
        if before.layer is not None:
            order = neurons[before.layer]
            new_neurons = sorted(int(np.flatnonzero(order == n)[0]) for n in before.neurons)
            # Neurons that are equal in all that counts may change places.
            assert len(attribution.neurons) == len(new_neurons)
            mine = model.W_out[before.layer][list(attribution.neurons)]
            wanted = model.W_out[before.layer][new_neurons]
            assert sorted(mine.tolist()) == sorted(wanted.tolist())


@pytest.mark.parametrize("name", ["rotated", "compressed", "noisy"])
def test_changed_bases_keep_heads_and_neurons(
    program: Program, compiled: Compiled, name: str
) -> None:
    """Where no axis is one of the program's, directions are counted instead of named."""
    rng = np.random.default_rng(0)
    model = {
        "rotated": lambda m: treatments.rotate(m, rng),
        "compressed": lambda m: treatments.rotate_and_compress(m, rng, include_bos=True).model,
        "noisy": lambda m: treatments.add_noise(m, rng, 0.01),
    }[name](compiled.transformer)
    plain = attributions(compiled.transformer, program, DOMAIN)
    found = attributions(model, program, DOMAIN)
    if name == "noisy":
        assert found == plain
    else:
        assert found == tuple(replace(attribution, dims=()) for attribution in plain)
        assert by_line(found)[plain[-1].text.split()[0]].place.endswith("4 directions")


def test_nothing_is_claimed_of_other_weights(program: Program, compiled: Compiled) -> None:
    """A program with other weights than the model, or that cannot be compiled, has none."""
    other = canonicalise(parse("same = Select(tokens, tokens, Comparison.EQ)\nSelectorWidth(same)"))
    weights = compiled.transformer
    changed = weights.W_out.copy()
    changed[0, 0, 0] += 0.5
    for model, read in ((weights, other), (weights.replace(W_out=changed), program)):
        found = attributions(model, read, DOMAIN)
        assert len(found) == len(print_program(read).splitlines())
        assert {c.place for c in found} == {"unknown"}
    average = parse("a = Map(lambda x: x / 3, tokens)\nb = SequenceMap(lambda x, y: x / y, a, a)")
    assert {c.place for c in attributions(weights, average, DOMAIN)} == {"unknown"}


def test_every_real_model_has_attributions() -> None:
    """Of real Tracr models every living head and neuron carries some line."""
    for path in sorted(REAL.glob("*.npz"))[:10]:
        model = load_model(path).transformer
        result = decompile_model(model)
        if result.verdict != "identical" or result.program is None:
            continue
        found = attributions(model, result.program, Domain(result.vocab, result.max_seq_len))
        alive = {
            (layer, int(n))
            for layer in range(model.n_layers)
            for n in np.flatnonzero(np.abs(model.W_in[layer]).max(axis=0) > 1e-6)
        }
        assert {(c.layer, n) for c in found for n in c.neurons} >= alive
        assert {h for c in found for h in c.heads} == {
            (layer, head)
            for layer in range(model.n_layers)
            for head in range(model.n_heads)
            if np.abs(model.W_O[layer, head]).max() > 0
        }


@pytest.mark.parametrize(
    ("attribution", "place"),
    [
        (Attribution(2, "a", True, ((1, 0),)), "layer 1 head 0"),
        (Attribution(2, "a", True, ((1, 0), (1, 2))), "layer 1 heads 0, 2"),
        (Attribution(2, "a", True, ((1, 0),), 1, (4, 5, 6)), "layer 1 head 0, neurons 4-6"),
        (Attribution(2, "a", True, (), 0, (7,), (3,), 1), "layer 0 neuron 7 -> dim 3"),
        (Attribution(2, "a", True, (), 0, (1, 3), (), 2), "layer 0 neurons 1, 3 -> 2 directions"),
        (Attribution(2, "a", True, (), 0, (1,), (), 1), "layer 0 neuron 1 -> 1 direction"),
        (Attribution(2, "a"), "unknown"),
    ],
)
def test_places_in_words(attribution: Attribution, place: str) -> None:
    """Runs of numbers are shortened."""
    assert attribution.place == place


RESULT = Result(
    name="m.npz",
    program=None,
    source="a = rasp.Map(lambda x: x + 1, rasp.tokens)\nb = rasp.Map(lambda x: x * 2, a)\n",
    verdict="identical",
    inputs_checked=0,
    detail="the same",
    seconds=0.5,
    vocab=(0, 1),
    max_seq_len=2,
    log_probability=0.0,
    evidence=Evidence("rotated", 2e-7, 6, 5, 0.001),
)
LINES = tuple(Attribution(2 + i, text) for i, text in enumerate(RESULT.source.splitlines()))


def test_what_was_checked_is_one_line() -> None:
    """Weights, outputs, tolerance and domain are told."""
    (line,) = [x for x in result_text(RESULT, LINES).splitlines() if x.startswith("# checked")]
    assert line == (
        "# checked: weights rotated, off by 2e-07 at most; outputs agree on 5 of 6 different "
        "inputs to 0.001; domain: 6 inputs, 1 to 2 of 2 tokens"
    )


def test_a_greedy_program_that_differs_is_shown() -> None:
    """Only the lines in which it differs, and nothing where it does not."""
    greedy = RESULT.source.replace("x * 2", "x * 3")
    search = Search(greedy, "unverified", 4, 9, 1, 0.25)
    shown = result_text(replace(RESULT, search=search), LINES)
    cost = "4 candidates, 9 operations compared with the weights, 1 repair, 0.2 s"
    assert f"# searched: {cost}; without it unverified:" in shown
    assert "#   b = rasp.Map(lambda x: x * 3, a)" in shown
    assert shown.count("x + 1") == 1
    same = replace(search, greedy_source=RESULT.source)
    assert "searched" not in result_text(replace(RESULT, search=same), LINES)


def test_other_programs_are_shown_by_their_differences() -> None:
    """A few of them, the others counted."""
    others = tuple(RESULT.source.replace("x + 1", f"x + {n}") for n in range(2, 9))
    shown = result_text(replace(RESULT, other_programs=others), LINES)
    assert "# 7 other programs have these very weights:" in shown
    assert "#   1. a = rasp.Map(lambda x: x + 2, rasp.tokens)" in shown
    assert "x + 6" not in shown
    assert "#   and 3 more (--json lists them)" in shown
    one = result_text(replace(RESULT, other_programs=others[:1]), LINES)
    assert "# 1 other program has these very weights:\n#   a = rasp.Map(lambda x: x + 2" in one


def test_the_text_is_the_program() -> None:
    """Comments are all that is added: it parses as what was read."""
    program = parse(SOURCE + "\nhist")
    source = print_program(program)
    lines = attributions(
        compile_program(program, (0, 1), 2).transformer, program, Domain((0, 1), 2)
    )
    text = "\n".join(program_text(source, lines))
    assert parse(text) == parse(source)
    assert all("  # " in line for line in text.splitlines()[:-1])


def test_unknown_attributions_are_no_comments() -> None:
    """Nothing is written beside the lines where nothing is known."""
    assert program_text(RESULT.source, LINES) == RESULT.source.splitlines()


def test_sizes() -> None:
    """Numbers too long to read are powers of ten."""
    assert count(3905) == "3,905"
    assert count(10**40) == "some 10^40"


def test_json_lists_the_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same facts as one object a line of the program."""
    assert main(["compile", "sort", "-o", str(tmp_path / "sort.npz"), "--json"]) == 0
    capsys.readouterr()
    assert main(["decompile", str(tmp_path / "sort.npz"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [line["text"] for line in shown["lines"]] == shown["program"].splitlines()
    first = shown["lines"][0]
    assert (first["known"], first["layer"], first["heads"]) == (True, 0, [])
    assert first["neurons"] == list(range(25))
