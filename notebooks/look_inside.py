# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Inside two small transformers
#
# The first is compiled from a program, so that we know what it does; the second is trained, and we
# only think that we know. Both are loaded, run, looked into and patched in the same way.

# %%
import itertools

import numpy as np
import torch

import untracr
from untracr.explain import explain_result, look_inside
from untracr.hypothesis import Amount, Effort, Subject, examine, report_text, usual_view
from untracr.network import FromInputs, Place, Replace, Values

untracr.__version__

# %% [markdown]
# ## A compiled model
#
# The program counts how often each token occurs in the input.

# %%
compiled = untracr.compile_rasp_to_model(
    """
same_token = Select(tokens, tokens, Comparison.EQ)
count = SelectorWidth(same_token)
""",
    vocab=["a", "b", "c"],
    max_seq_len=5,
)
compiled

# %% [markdown]
# `untracr.load` takes it as it takes files, folders, state dicts and models of other libraries.

# %%
model = untracr.load(compiled)
model

# %%
model.run(["a b a", "c c c b"])

# %% [markdown]
# Everything that it computes has TransformerLens' name.

# %%
trace = model.trace(["a b a"])
trace

# %%
trace["blocks.0.attn.hook_pattern"][0, 0].round(2)

# %%
look_inside(model, ["a b a", "c c c b"])

# %% [markdown]
# The head attends to BOS and to each place where the token of its own position stands. What if it
# attends to BOS alone? Then it counts nothing.

# %%
only_bos = Replace(Place("blocks.0.attn.hook_pattern", heads=0), Values([1, 0, 0, 0]))
{"as it is": model.run(["a b a"]), "attending to BOS": model.patched(only_bos).run(["a b a"])}

# %% [markdown]
# Now the other way: from the weights alone to a program, with a verdict on it.

# %%
result = untracr.decompile_model(compiled)
result

# %%
result.program

# %%
result.lines

# %% [markdown]
# Beside the program's values stands what the model's residual stream holds.

# %%
explain_result(compiled, result, [("a", "b", "a")])[0]

# %% [markdown]
# ## A trained model
#
# One layer of GPT-2's kind (layer norms, GELU, causal attention), from a state dict with
# TransformerLens' names.

# %%
rng = np.random.default_rng(0)
layers, heads, width, per_head, neurons, positions = 1, 2, 16, 8, 32, 9
letters = ["a", "b", "c", "d"]


def drawn(*shape: int) -> np.ndarray:
    """Weights as they are before training."""
    return rng.normal(0, 0.25, shape).astype(np.float32)


def zeros(*shape: int) -> np.ndarray:
    """Biases as they are before training."""
    return np.zeros(shape, np.float32)


def ones(*shape: int) -> np.ndarray:
    """Gains as they are before training."""
    return np.ones(shape, np.float32)


weights = {
    "embed.W_E": drawn(len(letters) + 1, width),
    "pos_embed.W_pos": drawn(positions, width),
    "ln_final.w": ones(width),
    "ln_final.b": zeros(width),
    "unembed.W_U": drawn(width, len(letters) + 1),
    "unembed.b_U": zeros(len(letters) + 1),
}
for layer in range(layers):
    block = f"blocks.{layer}"
    for name in ("ln1", "ln2"):
        weights |= {f"{block}.{name}.w": ones(width), f"{block}.{name}.b": zeros(width)}
    for name in "QKV":
        weights[f"{block}.attn.W_{name}"] = drawn(heads, width, per_head)
        weights[f"{block}.attn.b_{name}"] = zeros(heads, per_head)
    weights[f"{block}.attn.W_O"] = drawn(heads, per_head, width)
    weights[f"{block}.attn.b_O"] = zeros(width)
    weights |= {f"{block}.mlp.W_in": drawn(width, neurons), f"{block}.mlp.b_in": zeros(neurons)}
    weights |= {f"{block}.mlp.W_out": drawn(neurons, width), f"{block}.mlp.b_out": zeros(width)}

config = {
    "n_layers": layers,
    "n_heads": heads,
    "d_model": width,
    "d_head": per_head,
    "n_ctx": positions,
    "act_fn": "gelu_new",
    "normalization_type": "LN",
}
task = {
    "tokens": [*letters, "<bos>"],
    "input": "<bos> x",
    "outputs": {"where": {"after": "<bos>"}, "means": "label"},
}
untrained = untracr.load(weights, config=config, task=task)
untrained

# %% [markdown]
# It is trained to give the letter before each letter, and at the first letter that letter itself,
# as a plain module of PyTorch.

# %%
torch.manual_seed(0)
torch.set_num_threads(1)
module = untrained.to_torch()
optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
for _ in range(300):
    given = torch.randint(len(letters), (32, positions - 1))
    bos = torch.full((len(given), 1), len(letters))
    before = torch.cat([given[:, :1], given[:, :-1]], dim=1)
    logits = module(torch.cat([bos, given], dim=1))[:, 1:]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), before.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
trained = untracr.load(module, task=task)
{"loss": round(loss.item(), 4), "outputs": trained.run(["a b c d", "d d a"])}

# %%
look_inside(trained, ["a b c d d a"])

# %% [markdown]
# Which head fetches the letter before? Each is given what it computes for another input.

# %%
one, other = trained.trace(["a b c d"]), trained.trace(["b a d c"])
effects = {"as it is": trained.run(["a b c d"])[0]}
for head in range(heads):
    place = Place("blocks.0.attn.hook_z", heads=head)
    patched = trained.patched(Replace(place, FromInputs(other)))
    effects[f"head {head} from the other input"] = patched.run(["a b c d"])[0]
effects

# %% [markdown]
# And by hand: how much does each head attend to the position before?

# %%
inputs = [" ".join(x) for x in itertools.islice(itertools.product(letters, repeat=6), 0, 4096, 41)]
patterns = trained.trace(inputs)["blocks.0.attn.hook_pattern"]
to_the_one_before = patterns.diagonal(-1, axis1=2, axis2=3)[:, :, 1:]  # [B, H, T - 1]
{f"head {head}": round(float(to_the_one_before[:, head].mean()), 2) for head in range(heads)}

# %% [markdown]
# The idea as a program. Does the network run it?

# %%
idea = untracr.parse(
    """
before = Select(indices, indices, lambda k, q: k == q - 1)
first = Select(indices, indices, lambda k, q: k == q and q == 0)
letter = Aggregate(SelectorOr(before, first), tokens)
"""
)
subject = Subject(trained.network, trained.task, usual_view(trained.task))
few = Amount(inputs=500, traced=200, effort=Effort())
report = examine(subject, idea, longest=5, amount=few)
print(report_text(report))
