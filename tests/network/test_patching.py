"""Patches give what hooks on the module of PyTorch give, alone and many in one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from closeness import relative
from random_networks import KINDS, ids_of, network_of
from untracr.errors import HookPointError, InputError, PatchError
from untracr.network import patching
from untracr.network.forward import forward, steps, through
from untracr.network.network import Network
from untracr.network.patches import (
    Add,
    FromInputs,
    MeanOf,
    Patch,
    Place,
    Replace,
    Resampled,
    Values,
)
from untracr.network.patching import patched, run_each
from untracr.network.points import Axes, HookPoint, hook_points
from untracr.network.torch_module import to_torch
from untracr.network.tracing import trace

RNG = np.random.default_rng(6)


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> Network:
    """A network of each kind, in double precision."""
    return network_of(KINDS[request.param]).astype(np.float64)


@pytest.fixture
def gpt2() -> Network:
    """A network of two layers with layer norms, in double precision."""
    return network_of(KINDS["gpt2"]).astype(np.float64)


def by_hooks(
    network: Network, ids: np.ndarray, changes: dict[str, Callable[[np.ndarray], None]]
) -> np.ndarray:
    """Logits of the module of PyTorch, with values at named places changed in the array."""
    module = to_torch(network)
    for name, change in changes.items():

        def hook(_module: Any, _given: Any, value: Tensor, change: Any = change) -> Tensor:
            changed = value.numpy().copy()
            change(changed)
            return torch.from_numpy(changed)

        module.get_submodule(name).register_forward_hook(hook)
    with torch.no_grad():
        logits: np.ndarray = module(torch.from_numpy(ids)).numpy()
    return logits


def patchable(network: Network) -> list[HookPoint]:
    """The hook points that the module of PyTorch has, too."""
    return [p for p in hook_points(network).values() if not p.name.endswith("hook_result")]


def some_numbers(shape: tuple[int, ...]) -> np.ndarray:
    """Positive ones: they are put in patterns and scales, too."""
    return np.random.default_rng(7).uniform(0.5, 1.5, size=shape)


def test_values_at_a_position_are_replaced_at_every_point(network: Network) -> None:
    ids = ids_of(network)
    for point in patchable(network):
        shape = list(point.shape(*ids.shape))
        axis = 2 if point.axes is Axes.PAIRS else 1
        shape[axis] = 1
        numbers = some_numbers(tuple(shape))

        def change(values: np.ndarray, axis: int = axis, numbers: np.ndarray = numbers) -> None:
            np.moveaxis(values, axis, 0)[3] = np.moveaxis(numbers, axis, 0)[0]

        seen = numbers.transpose(0, 2, 1, 3) if point.axes is Axes.PAIRS else numbers
        found = patched(network, Replace(Place(point.name, positions=3), Values(seen))).run(ids)
        assert relative(found, by_hooks(network, ids, {point.name: change})) < 1e-12, point.name


def test_every_point_takes_values_of_other_inputs(network: Network) -> None:
    ids, others = ids_of(network), ids_of(network, seed=9)
    source = trace(network, others)

    def exchanged(name: str) -> np.ndarray:
        return by_hooks(network, ids, {name: lambda values: put(values, source[name])})

    wanted = {point.name: exchanged(point.name) for point in patchable(network)}
    interventions = [Replace(Place(name), FromInputs(source)) for name in wanted]
    each = run_each(network, interventions, ids)
    from_trace = run_each(network, interventions, trace(network, ids))
    for number, (name, logits) in enumerate(wanted.items()):
        assert relative(each[number], logits) < 1e-12, name
        assert relative(from_trace[number], logits) < 1e-12, name


def put(values: np.ndarray, others: np.ndarray) -> None:
    """Others in the place of values."""
    values[...] = others


def test_heads_positions_and_dimensions_are_chosen_together(gpt2: Network) -> None:
    ids = ids_of(gpt2)
    numbers = some_numbers((2, 2, 3))
    place = Place(
        "blocks.1.attn.hook_z", positions=(1, 4), heads=[0, 2], dimensions=np.array([3, 0, 1])
    )

    def change(values: np.ndarray) -> None:
        for i, position in enumerate((1, 4)):
            for j, head in enumerate((0, 2)):
                for k, dimension in enumerate((3, 0, 1)):
                    values[:, position, head, dimension] = numbers[i, j, k]

    found = patched(gpt2, Replace(place, Values(numbers))).run(ids)
    assert relative(found, by_hooks(gpt2, ids, {place.point: change})) < 1e-12


def test_dimensions_of_a_pattern_are_the_positions_attended_to(gpt2: Network) -> None:
    ids = ids_of(gpt2)
    place = Place("blocks.0.attn.hook_pattern", positions=(5, 6), heads=1, dimensions=0)

    def change(values: np.ndarray) -> None:
        values[:, 1, 5:7, 0] = 0.25

    found = patched(gpt2, Replace(place, Values(0.25))).run(ids)
    assert relative(found, by_hooks(gpt2, ids, {place.point: change})) < 1e-12


def test_each_input_may_have_positions_of_its_own(gpt2: Network) -> None:
    """The first position of one input takes the third of another, and so on."""
    ids, others = ids_of(gpt2), ids_of(gpt2, seed=9)
    there = RNG.integers(0, 4, size=(len(ids), 1)) + np.array([0, 4])
    taken = RNG.integers(0, 4, size=(len(ids), 1)) + np.array([4, 1])
    rows = RNG.permutation(len(ids))
    source = trace(gpt2, others)
    name = "blocks.0.hook_resid_mid"

    def change(values: np.ndarray) -> None:
        for row in range(len(values)):
            for column in range(2):
                other = source[name][rows[row], taken[row, column]]
                values[row, there[row, column]] = other

    patch = Replace(Place(name, positions=there), FromInputs(source, rows, positions=taken))
    found = patched(gpt2, patch).run(ids)
    assert relative(found, by_hooks(gpt2, ids, {name: change})) < 1e-12
    some = np.array([3, 0, 7])
    few = Replace(
        Place(name, positions=there[some]), FromInputs(source, rows[some], positions=taken[some])
    )
    assert relative(patched(gpt2, few).run(trace(gpt2, ids), rows=some), found[some]) < 1e-12


def test_only_the_part_along_a_subspace_is_exchanged(gpt2: Network) -> None:
    ids, others = ids_of(gpt2), ids_of(gpt2, seed=9)
    basis = orthonormal(gpt2.d_model, 3)
    source, name = trace(gpt2, others), "blocks.1.hook_resid_pre"

    def change(values: np.ndarray) -> None:
        onto = basis @ basis.T
        values[:, 2] += (source[name][:, 2] - values[:, 2]) @ onto

    place = Place(name, positions=2, subspace=basis)
    found = patched(gpt2, Replace(place, FromInputs(source))).run(ids)
    assert relative(found, by_hooks(gpt2, ids, {name: change})) < 1e-12
    coordinates = Values((source[name][:, 2:3]) @ basis)
    assert relative(patched(gpt2, Replace(place, coordinates)).run(ids), found) < 1e-12


def test_a_subspace_of_some_dimensions_of_heads(gpt2: Network) -> None:
    ids = ids_of(gpt2)
    basis, name = orthonormal(2, 1), "blocks.0.attn.hook_q"

    def change(values: np.ndarray) -> None:
        values[:, :, 1, [0, 3]] += 2 * basis[:, 0]

    place = Place(name, heads=1, dimensions=(0, 3), subspace=basis)
    found = patched(gpt2, Add(place, Values(1.0), times=2)).run(ids)
    assert relative(found, by_hooks(gpt2, ids, {name: change})) < 1e-12


def orthonormal(rows: int, columns: int) -> np.ndarray:
    """Random orthonormal columns."""
    return np.linalg.qr(np.random.default_rng(8).normal(size=(rows, columns)))[0]


def test_what_is_added_is_added(gpt2: Network) -> None:
    ids, name = ids_of(gpt2), "blocks.0.mlp.hook_post"
    direction = some_numbers((10,))

    def change(values: np.ndarray) -> None:
        values[:, [0, 5]] += 0.5 * direction

    found = patched(gpt2, Add(Place(name, (0, 5)), Values(direction), times=0.5)).run(ids)
    assert relative(found, by_hooks(gpt2, ids, {name: change})) < 1e-12


@pytest.mark.parametrize("over_positions", [False, True])
@pytest.mark.parametrize("positions", [None, (2, 5), "each"])
def test_the_mean_over_inputs(gpt2: Network, over_positions: bool, positions: Any) -> None:
    ids, name = ids_of(gpt2), "hook_pos_embed" if over_positions else "blocks.1.attn.hook_v"
    if positions == "each":
        positions = RNG.integers(0, 9, size=(len(ids), 1))
    source = trace(gpt2, ids_of(gpt2, 31, seed=3))
    mean = source[name].mean(axis=0)
    if over_positions:
        mean = np.broadcast_to(mean.mean(axis=0), mean.shape)

    def change(values: np.ndarray) -> None:
        for row in range(len(values)):
            at = range(9) if positions is None else positions
            for place in at[row] if isinstance(at, np.ndarray) else at:
                values[row, place] = mean[place]

    place = Place(name, positions)
    found = patched(gpt2, Replace(place, MeanOf(source, over_positions))).run(ids)
    assert relative(found, by_hooks(gpt2, ids, {name: change})) < 1e-12


def test_resampled_values_depend_on_the_seed_alone(gpt2: Network) -> None:
    ids, source = ids_of(gpt2), trace(gpt2, ids_of(gpt2, 50, seed=3))
    name = "blocks.0.hook_mlp_out"
    rows = np.random.default_rng(11).integers(50, size=len(ids))

    def run(seed: int, inputs: np.ndarray) -> np.ndarray:
        return patched(gpt2, Replace(Place(name), Resampled(source, seed))).run(inputs)

    wanted = by_hooks(gpt2, ids, {name: lambda values: put(values, source[name][rows])})
    assert relative(run(11, ids), wanted) < 1e-12
    np.testing.assert_array_equal(run(11, ids), run(11, ids))
    assert relative(run(11, ids[:7]), wanted[:7]) < 1e-12
    assert relative(run(12, ids), wanted) > 1e-3


def test_patches_of_one_seed_are_resampled_jointly(gpt2: Network) -> None:
    """All that two half-layers add comes from one input: so does the stream behind them."""
    ids, source = ids_of(gpt2), trace(gpt2, ids_of(gpt2, 50, seed=3))
    names = ("hook_embed", "hook_pos_embed", "blocks.0.hook_attn_out", "blocks.0.hook_mlp_out")
    patches = [Replace(Place(name), Resampled(source, 5)) for name in names]
    whole = Replace(Place("blocks.0.hook_resid_post"), Resampled(source, 5))
    assert relative(patched(gpt2, patches).run(ids), patched(gpt2, whole).run(ids)) < 1e-12


def test_results_of_heads_are_patched(gpt2: Network) -> None:
    """The part of one head in what the heads add: nothing else of it is changed."""
    ids = ids_of(gpt2)
    result = trace(gpt2, ids)["blocks.1.attn.hook_result"]

    def change(values: np.ndarray) -> None:
        values -= result[:, :, 2]

    found = patched(gpt2, Replace(Place("blocks.1.attn.hook_result", heads=2), Values(0.0))).run(
        ids
    )
    assert relative(found, by_hooks(gpt2, ids, {"blocks.1.hook_attn_out": change})) < 1e-12


def test_a_patch_sees_what_patches_before_it_did(gpt2: Network) -> None:
    ids, place = ids_of(gpt2), Place("blocks.0.hook_resid_mid", 1)
    once = patched(gpt2, Replace(place, Values(3.0))).run(ids)
    twice = patched(gpt2, [Replace(place, Values(1.0)), Add(place, Values(2.0))]).run(ids)
    assert relative(twice, once) < 1e-12


def test_a_trace_shows_values_as_they_went_on(network: Network) -> None:
    ids = ids_of(network)
    name = "blocks.1.attn.hook_z"
    one = patched(network, Replace(Place(name, heads=1), Values(0.5)))
    found, clean = one.trace(ids), trace(network, ids)
    assert (found[name][:, :, 1] == 0.5).all()
    assert relative(found[name][:, :, 0], clean[name][:, :, 0]) < 1e-12
    np.testing.assert_array_equal(found.logits, one.run(ids))
    assert relative(found["blocks.0.hook_resid_post"], clean["blocks.0.hook_resid_post"]) == 0
    assert (found["blocks.1.hook_attn_out"] != clean["blocks.1.hook_attn_out"]).any()
    stream = Place("blocks.0.hook_resid_post")
    assert (patched(network, Replace(stream, Values(0.5))).trace(ids)[stream.point] == 0.5).all()


def test_a_patch_changes_nothing_that_was_seen_before_it(gpt2: Network) -> None:
    """The stream that leaves a layer and the one that enters the next have hooks one by one."""
    left, enters = Place("blocks.0.hook_resid_post"), Place("blocks.1.hook_resid_pre")
    found = patched(gpt2, [Replace(left, Values(1.0)), Replace(enters, Values(2.0))])
    values = found.trace(ids_of(gpt2))
    assert (values[enters.point] == 2).all()
    assert (values[left.point] == 1).all()


def test_without_patches_nothing_is_changed(network: Network) -> None:
    ids = ids_of(network)
    assert relative(patched(network, []).run(ids), forward(network, ids)) < 1e-12
    assert run_each(network, [], ids).shape == (0, *forward(network, ids).shape)


@pytest.mark.parametrize("at_once", [1, 7, 1_000])
def test_many_in_one_batch_are_as_one_by_one(
    network: Network, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all points in a random order, however much is computed at a time."""
    ids, source = ids_of(network), trace(network, ids_of(network, 5, seed=2))
    names = np.random.default_rng(0).permutation(list(hook_points(network)))
    rows = RNG.integers(0, len(ids), size=11)
    own = RNG.integers(0, 9, size=(11, 1))
    several: list[list[Patch]] = [
        [Replace(Place(name, own if number % 3 == 1 else number % 9), Resampled(source, number))]
        for number, name in enumerate(names)
    ]
    several[3] += several[0] + several[-1]
    alone = [patched(network, one).run(ids[rows]) for one in several]
    monkeypatch.setattr(patching, "inputs_at_once", lambda *_: at_once)
    for base, chosen in ((trace(network, ids), rows), (ids[rows], None)):
        for logits, wanted in zip(run_each(network, several, base, chosen), alone, strict=True):
            assert relative(logits, wanted) < 1e-12


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """How many inputs go through each half-layer of two layers, and through the read-out."""
    counts = np.zeros(5, dtype=int)

    def watched(network: Network, step: Any, stream: np.ndarray, *rest: Any) -> np.ndarray:
        counts[steps(network).index(step)] += len(stream)
        return through(network, step, stream, *rest)

    monkeypatch.setattr("untracr.network.patching.through", watched)
    monkeypatch.setattr("untracr.network.tracing.through", watched)
    return counts


def test_nothing_below_the_first_patch_is_run_again(gpt2: Network, ran: np.ndarray) -> None:
    base, source = trace(gpt2, ids_of(gpt2)), trace(gpt2, ids_of(gpt2, seed=9))
    assert base.logits.any()
    assert source.logits.any()
    ran[:] = 0
    names = ("blocks.0.hook_resid_post", "blocks.1.hook_resid_mid", "ln_final.hook_normalized")
    run_each(gpt2, [Replace(Place(name, 1), FromInputs(source)) for name in names], base)
    assert ran.tolist() == [0, 0, 20, 40, 60 + 20]  # the last 20: the source's own read-out


def test_of_token_ids_nothing_is_run_twice(gpt2: Network, ran: np.ndarray) -> None:
    ids = ids_of(gpt2)
    assert patched(gpt2, Replace(Place("hook_embed", 1), Values(0))).run(ids).any()
    assert ran.tolist() == [20] * 5
    assert patched(gpt2, Replace(Place("blocks.0.hook_resid_mid", 1), Values(0))).run(ids).any()
    assert ran.tolist() == [40] * 5


HOSTILE = {
    "no point": (Place("blocks.0.attn.pattern"), Values(0), "Near: blocks.0.attn.hook_pattern"),
    "position too late": (Place("hook_embed", 9), Values(0), "0 to 8, of 9 positions.*not 9"),
    "position before": (Place("hook_embed", -1), Values(0), "counted from 0; -1"),
    "no such head": (Place("blocks.0.attn.hook_z", heads=3), Values(0), "0 to 2, of 3 heads"),
    "no heads": (Place("hook_embed", heads=0), Values(0), "no heads"),
    "no such neuron": (Place("blocks.0.mlp.hook_post", dimensions=10), Values(0), "0 to 9"),
    "no such key": (Place("blocks.0.attn.hook_pattern", dimensions=9), Values(0), "0 to 8"),
    "twice": (Place("hook_embed", (1, 1)), Values(0), "differ from each other"),
    "a half": (Place("hook_embed", 1.5), Values(0), "whole numbers"),  # type: ignore[arg-type]
    "a mask": (Place("hook_embed", [True, False]), Values(0), "whole numbers"),
    "none": (Place("hook_embed", []), Values(0), "one at least"),
    "words": (Place("hook_embed", "ab"), Values(0), "whole numbers"),  # type: ignore[arg-type]
    "ragged": (Place("hook_embed", [[1], [2, 3]]), Values(0), "whole numbers"),
    "three axes": (Place("hook_embed", [[[1]]]), Values(0), "2 axes at most, not 3"),  # type: ignore[arg-type]
    "positions of others": (Place("hook_embed", [[1], [2]]), Values(0), "2 inputs; there are 20"),
    "too wide": (Place("hook_embed"), Values(np.zeros(11)), r"\[9, 12\].*\[11\]"),
    "too many": (Place("hook_embed"), Values(np.zeros((3, 9, 12))), r"theirs is \[3, 9, 12\]"),
    "no numbers": (Place("hook_embed"), Values("seven"), "array of numbers"),
    "skew": (Place("hook_embed", subspace=np.ones((12, 2))), Values(0), "orthonormal"),
    "nan": (Place("hook_embed", subspace=np.full((12, 2), np.nan)), Values(0), "orthonormal"),
    "flat": (Place("hook_embed", subspace=np.ones(12)), Values(0), "directions"),
    "rows of it": (Place("hook_embed", subspace=np.eye(11)), Values(0), "12 rows.*not 11"),
    "keys of it": (
        Place("blocks.0.attn.hook_pattern", subspace=np.eye(8)),
        Values(0),
        "9 rows.*not 8",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_place_that_is_none_is_one_clear_error(gpt2: Network, name: str) -> None:
    place, source, words = HOSTILE[name]
    with pytest.raises(PatchError, match=words):
        patched(gpt2, Replace(place, source)).run(ids_of(gpt2))


def test_sources_that_do_not_fit_are_one_clear_error(gpt2: Network) -> None:
    ids = ids_of(gpt2)
    other = network_of(KINDS["attention-only"]).astype(np.float64)
    few, short = trace(gpt2, ids[:3]), trace(gpt2, ids[:, :4])
    cases: list[tuple[Any, str]] = [
        (FromInputs(few), "20 inputs to patch, and 3 in the trace"),
        (FromInputs(few, rows=[0, 1]), "rows must be 20, .* not 2"),
        (FromInputs(few, rows=[3] * 20), "0 to 2, of 3 inputs of the trace, not 3"),
        (FromInputs(few, rows=[0.5] * 20), "rows must be whole numbers"),
        (FromInputs(few, rows=[[0] * 20]), "one axis, not 2"),
        (FromInputs(short), r"shape \[4, 10\], the place \[9, 10\]"),
        (FromInputs(trace(gpt2, ids), positions=9), "position 9.*0 to 8"),
        (FromInputs(trace(other, ids)), "no such hook point"),
        (Resampled(few, -1), "from 0 on, not -1"),
        (Resampled(few, np.random.default_rng(0)), "whole number"),  # type: ignore[arg-type]
        (MeanOf(trace(gpt2, np.zeros((0, 9), dtype=int))), "no inputs"),
        (np.zeros(3), "must be Values, FromInputs"),
    ]
    for source, words in cases:
        with pytest.raises(PatchError, match=words):
            patched(gpt2, Replace(Place("blocks.0.mlp.hook_pre"), source)).run(ids)


def test_what_is_no_patch_or_no_start_is_one_clear_error(gpt2: Network) -> None:
    ids = ids_of(gpt2)
    one = patched(gpt2, Replace(Place("hook_embed"), Values(0)))
    with pytest.raises(PatchError, match="a Replace or an Add, not str"):
        patched(gpt2, "hook_embed")  # type: ignore[arg-type]
    with pytest.raises(PatchError, match="must be a Place, not str"):
        patched(gpt2, Replace("hook_embed", Values(0)))  # type: ignore[arg-type]
    with pytest.raises(PatchError, match="rows choose inputs of a trace"):
        one.run(ids, rows=[1])
    with pytest.raises(PatchError, match="without patches"):
        one.run(one.trace(ids))
    with pytest.raises(PatchError, match="of this network"):
        one.run(trace(network_of(KINDS["gpt2"]), ids))
    with pytest.raises(InputError, match="0 to 6, not 7"):
        one.run([[7]])
    with pytest.raises(HookPointError):
        run_each(gpt2, [Replace(Place("?"), Values(0))], ids)


def test_more_values_than_may_be_kept_are_refused(
    gpt2: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of what other inputs have in some dimensions; whole streams are not copied."""
    monkeypatch.setattr(patching, "MAX_TRACE_BYTES", 2 * 10**6)
    base = trace(gpt2, ids_of(gpt2))
    copied = Replace(Place("blocks.0.hook_resid_mid", dimensions=(0, 2, 5)), FromInputs(base))
    whole = Replace(Place("blocks.0.hook_resid_mid"), FromInputs(base))
    assert run_each(gpt2, [whole] * 100, base).shape[0] == 100
    with pytest.raises(InputError, match=r"500 patches take 0\.0 GiB"):
        run_each(gpt2, [[copied] * 5] * 100, base)


def test_more_logits_than_may_be_kept_are_refused(gpt2: Network) -> None:
    one = Replace(Place("hook_embed"), Values(0))
    base = trace(gpt2, ids_of(gpt2))
    with pytest.raises(InputError, match=r"10 interventions on 10,000,000 inputs .* GiB"):
        run_each(gpt2, [one] * 10, base, rows=np.zeros(10**7, dtype=np.int8))


def test_what_is_no_patch_at_all_is_told(gpt2: Network) -> None:
    wrong: Any = 3
    with pytest.raises(PatchError, match="a Replace, an Add, or several of these, not int"):
        patched(gpt2, wrong)
