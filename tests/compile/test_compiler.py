"""The compiler proper: layout of the weights, and what they compute."""

from __future__ import annotations

import numpy as np
import pytest

from untracr.compile.compiler import Compiled, compile_program, half_layer_order
from untracr.compile.layers import half_layers
from untracr.compile.values import value_sets
from untracr.diagnose.judging import verify
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import ModelFileError, ProgramError
from untracr.loading.haiku import haiku_params, transformer_from_haiku
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.interpreter import run
from untracr.rasp.nodes import INDICES, TOKENS, Ref
from untracr.rasp.program import Program
from untracr.rasp.values import tracr_sorted
from untracr.sample.sampler import sample_program
from untracr.syntax.library import LIBRARY, NamedProgram
from untracr.syntax.parsing import parse
from untracr.transformer.half_layer import attention, mlp

HIST = "hist = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"


def compiled(source: str, vocab: tuple[int, ...] = (0, 1, 2), length: int = 3) -> Compiled:
    return compile_program(parse(source), vocab, length)


def by_label(program: Program) -> dict[str, Ref]:
    return {label: ref for ref, label in enumerate(program.labels)}


def test_hist_in_full() -> None:
    result = compiled(HIST)
    model = result.transformer
    width = "hist_selector_width_attn_output"
    assert result.residual.labels() == [
        *(f"hist:{n}" for n in range(4)),
        width,
        *(f"indices:{n}" for n in range(3)),
        "one",
        *(f"tokens:{t}" for t in (0, 1, 2, "compiler_bos", "compiler_pad")),
    ]
    assert (model.n_layers, model.n_heads, model.d_head) == (1, 1, 5)
    assert model.d_mlp == 8  # 3 thresholds of two ReLUs, the start, BOS
    query = model.W_Q[0, 0]
    tokens = [result.residual.dim("tokens") + i for i in range(3)]
    assert query[tokens, :3].tolist() == (100 * np.eye(3)).tolist()
    assert query[result.residual.dim("one"), 3] == 100


def test_embeddings_mark_token_position_and_one() -> None:
    result = compiled(HIST)
    model, residual = result.transformer, result.residual
    assert model.W_E[:, residual.dims("tokens")].tolist() == np.eye(5).tolist()
    assert (model.W_E[:, residual.dim("one")] == 1).all()
    assert (model.W_pos[0] == 0).all()
    assert model.W_pos[1:, residual.dims("indices")].tolist() == np.eye(3).tolist()
    assert result.bos_id == result.token_values.index("compiler_bos")


def test_every_array_is_float32_and_finite() -> None:
    for index in range(5):
        result = compile_program(sample_program(2, index), PAPER_DOMAIN.vocab, 5)
        assert {array.dtype for array in result.transformer.arrays().values()} == {
            np.dtype(np.float32)
        }
        result.transformer.validate()


def test_equal_programs_give_equal_weights() -> None:
    fst, snd = (compile_program(sample_program(3, 1), (0, 1, 2, 3, 4), 5) for _ in range(2))
    for name, array in fst.transformer.arrays().items():
        assert np.array_equal(array, snd.transformer.arrays()[name])


def test_aggregates_and_the_maps_behind_them_share_a_layer() -> None:
    source = (
        "moved = Aggregate(Select(tokens, tokens, Comparison.EQ), tokens)\n"
        "next = Map(lambda x: x + 1, moved)\n"
    )
    program = parse(source)
    layers = half_layers(program)
    names = by_label(program)
    assert layers == {names["moved"]: attention(0), names["next"]: mlp(0)}


def test_node_map_points_at_the_neurons_and_heads_of_a_node() -> None:
    source = HIST + "sum = SequenceMap(lambda x, y: x + y, hist, indices)"
    program = parse(source)
    result = compile_program(program, (0, 1, 2), 3)
    names = by_label(program)
    hist, total = result.node_map[names["hist"]], result.node_map[names["sum"]]
    assert hist.heads == ((0, 0),)
    assert hist.layer == 0
    assert total.heads == ()
    assert total.layer == 1
    assert len(total.neurons) == 4 * 3
    assert [result.residual.labels()[dim] for dim in total.dims] == [f"sum:{n}" for n in range(6)]
    assert total.values == tuple(range(6))
    assert result.node_map[TOKENS].half_layer is None
    assert result.node_map[INDICES].half_layer is None
    used = np.flatnonzero(result.transformer.W_in[1].any(axis=0))
    assert sorted(total.neurons) == used.tolist()
    assert half_layer_order(result) == [names["hist"], names["sum"]]


@pytest.mark.parametrize("exactness", [1, 2, 10, 100])
def test_mlp_exactness_is_the_slope_of_steps(exactness: int) -> None:
    source = "n = numerical(Map(lambda x: x, tokens))\nMap(lambda x: x > 0.5, n, simplify=False)"
    program = parse(source)
    result = compile_program(program, (0, 1, 2), 3, mlp_exactness=exactness)
    reads = result.transformer.W_in[1, result.node_map[by_label(program)["n"]].dims[0]]
    assert set(reads.tolist()) <= {0.0, float(exactness)}
    # At 1 the step ends where the next value is: both are written by a half, and rounding decides.
    assert verify(program, result, Domain((0, 1, 2), 3)).ok == (exactness > 1)


def test_values_are_sorted_as_tracr_sorts_them() -> None:
    assert tracr_sorted((2, 0, 1)) == (0, 1, 2)
    assert tracr_sorted((1, "a", 0)) == (0, 1, "a")
    assert tracr_sorted((True, 0.5)) == (0.5, True)


def test_value_sets_drop_none_and_division_by_zero() -> None:
    program = parse("n = numerical(Map(lambda x: 6 / x if x > 0 else 0, tokens))")
    sets = value_sets(program, (0, 1, 2), 3)
    assert sets[program.output].ordered == (0, 3.0, 6.0)
    program = parse("Map(lambda x: x if x > 0 else None, tokens)")
    assert value_sets(program, (0, 1, 2), 3)[program.output].ordered == (1, 2)


@pytest.mark.parametrize("source", ["tokens", "indices"])
def test_an_input_alone_has_no_weights(source: str) -> None:
    with pytest.raises(ProgramError, match="at least one operation"):
        compiled(source)


def test_heads_are_widened_for_values_where_tracr_crashes() -> None:
    source = (
        "pair = SequenceMap(lambda x, y: 10 * x + y, tokens, indices)\n"
        "moved = Aggregate(Select(indices, indices, Comparison.EQ), pair)"
    )
    program = parse(source)
    result = compile_program(program, (0, 1, 2), 3)
    assert result.transformer.d_head == 9
    assert verify(program, result, Domain((0, 1, 2), 3)).ok


def test_linear_sequence_map_of_one_sop_twice() -> None:
    source = "n = numerical(Map(lambda x: x, tokens))\nnumerical(LinearSequenceMap(n, n, 2, 3))"
    program = parse(source)
    result = compile_program(program, (0, 1, 2), 3)
    assert verify(program, result, Domain((0, 1, 2), 3)).ok


@pytest.mark.parametrize("named", LIBRARY, ids=lambda named: named.name)
def test_library_programs_compute_their_examples(named: NamedProgram) -> None:
    model = compile_rasp_to_model(
        named.program, named.vocab, named.max_seq_len, named.causal, strict=False
    )
    given = model.run([tokens for tokens, _ in named.examples])
    for (_, expected), output in zip(named.examples, given, strict=True):
        for wanted, value in zip(expected, output, strict=True):
            if isinstance(wanted, (int, float)) and isinstance(value, (int, float)):
                assert value == pytest.approx(wanted, abs=1e-2)
            elif wanted is not None:  # a model cannot say None
                assert value == wanted


@pytest.mark.parametrize("index", range(10))
def test_haiku_parameters_read_back_as_the_same_weights(index: int) -> None:
    model = compile_program(sample_program(4, index), (0, 1, 2, 3, 4), 5).transformer
    params = haiku_params(model)
    again = transformer_from_haiku(params, model.n_heads)
    flat = {f"{k}/{n}": array for k, entries in params.items() for n, array in entries.items()}
    from_flat = transformer_from_haiku(flat, model.n_heads)
    for name, array in model.arrays().items():
        assert np.array_equal(array, again.arrays()[name])
        assert np.array_equal(array, from_flat.arrays()[name])


def test_haiku_layers_are_in_alphabetical_order() -> None:
    source = "a = tokens\n" + "\n".join(
        "a = Map(lambda x: x, a, simplify=False)" for _ in range(11)
    )
    model = compile_program(parse(source), (0, 1), 2).transformer
    assert model.n_layers == 11
    keys = list(haiku_params(model))
    assert keys == sorted(keys)
    assert keys.index("transformer/layer_10/attn/key") < keys.index("transformer/layer_2/attn/key")
    again = transformer_from_haiku(haiku_params(model), 1)
    assert np.array_equal(again.W_in, model.W_in)


def test_haiku_errors() -> None:
    params = haiku_params(compiled(HIST).transformer)
    with pytest.raises(ModelFileError, match="unknown parameter"):
        transformer_from_haiku({**params, "transformer/layer_norm": {"w": [1.0]}}, 1)
    without = {key: value for key, value in params.items() if key != "pos_embed"}
    with pytest.raises(ModelFileError, match="pos_embed/embeddings"):
        transformer_from_haiku(without, 1)
    with pytest.raises(ModelFileError, match="multiple of num_heads"):
        transformer_from_haiku(params, 2)
    with pytest.raises(ModelFileError, match="at least 1"):
        transformer_from_haiku(params, 0)
    with pytest.raises(ModelFileError, match="array of numbers"):
        transformer_from_haiku({**params, "pos_embed": {"embeddings": "text"}}, 1)


@pytest.mark.parametrize("name", ["one", "hist_selector_width_attn_output"])
def test_names_of_the_compilers_own_directions_are_free(name: str) -> None:
    """A variable called like the constant was written into every token's row."""
    source = f"""
{name} = numerical(Map(lambda x: x == 1, tokens))
hist = SelectorWidth(Select(tokens, tokens, Comparison.EQ))
often = numerical(Map(lambda x: x > 1, hist))
sum = numerical(LinearSequenceMap({name}, often, 1, 2))
"""
    model = compile_rasp_to_model(source, range(4), 3)
    assert model.run([[1, 2, 1]]) == run(parse(source), [[1, 2, 1]]) == [[3, 0, 3]]
