"""Half-layers come in the order in which a model runs them: heads, then neurons, layer by layer."""

from __future__ import annotations

from untracr.transformer.half_layer import FIRST_HALF_LAYER, attention, mlp


def test_half_layers_are_ordered_and_numbered_as_they_run() -> None:
    found = list(FIRST_HALF_LAYER.until(3))
    assert found == [
        half_layer for layer in range(3) for half_layer in (attention(layer), mlp(layer))
    ]
    assert found == sorted(found)
    assert [half_layer.number for half_layer in found] == list(range(6))
    assert [half_layer.next for half_layer in found] == [*found[1:], attention(3)]


def test_half_layers_from_one_on_are_it_and_those_behind_it() -> None:
    assert list(mlp(1).until(2)) == [mlp(1)]
    assert list(attention(2).until(2)) == []
    assert all(h.is_attention is not h.is_mlp for h in FIRST_HALF_LAYER.until(2))
