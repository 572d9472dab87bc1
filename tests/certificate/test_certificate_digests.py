"""The digest that ties a certificate to a model is that of the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model
from untracr.loading.model import LoadedModel
from untracr.rasp.functions import number_or
from untracr.transformer.token_rows import in_standard_order
from untracr.transformer.weights_digest import weights_digest


def test_the_digest_is_the_weights_and_not_the_file(hist: LoadedModel, tmp_path: Path) -> None:
    """Another format, or the token rows in another order in the file, give the same digest."""
    save_model(tmp_path / "a.npz", hist.transformer, hist.metadata)
    assert weights_digest(load_model(tmp_path / "a.npz").transformer) == weights_digest(
        hist.transformer
    )
    names = hist.metadata["token_values"]
    assert isinstance(names, list)
    order = list(reversed(range(len(names))))
    turned = hist.transformer.replace(W_E=hist.transformer.W_E[order])
    notes = {**hist.metadata, "token_values": [names[row] for row in order]}
    save_model(tmp_path / "b.npz", turned, notes)
    other = load_model(tmp_path / "b.npz")
    assert weights_digest(other.transformer) != weights_digest(hist.transformer)
    in_order, values = in_standard_order(other)
    assert values == (2, 1, 0)
    assert weights_digest(in_order) != weights_digest(in_standard_order(hist)[0])
    same_names, _ = in_standard_order(
        LoadedModel(hist.transformer.replace(W_E=hist.transformer.W_E[[3, 0, 1, 2, 4]]),
                    {**hist.metadata, "token_values": [names[r] for r in (3, 0, 1, 2, 4)]},
                    hist.path)
    )  # fmt: skip
    assert weights_digest(same_names) == weights_digest(in_standard_order(hist)[0])


def test_whatever_is_changed_changes_the_digest(hist: LoadedModel) -> None:
    """Each array, its shape, the read-out, its values and their types, and the mask count."""
    model = hist.transformer
    assert model.W_U is not None
    assert model.output_values is not None
    digests = [weights_digest(model), weights_digest(model.replace(causal=True))]
    for name, array in {**model.arrays(), "W_U": model.W_U}.items():
        changed = array.copy()
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(9))
        digests.append(weights_digest(model.replace(**{name: changed})))
    digests.append(weights_digest(model.replace(b_O=model.b_O[:, None])))
    digests.append(weights_digest(model.replace(W_U=None, output_values=None)))
    digests.append(weights_digest(model.replace(output_values=None)))
    floats = tuple(number_or(value, 0.0) for value in model.output_values)
    digests.append(weights_digest(model.replace(output_values=floats)))
    assert len(set(digests)) == len(digests)
    assert weights_digest(model) == digests[0]
