"""What is written behind an input, beside what Hugging Face's transformers generate."""

from __future__ import annotations

import pytest

import untracr

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_greedy_generation_is_that_of_transformers(seed: int) -> None:
    """A random GPT-2 with settings of its own, on prompts of several lengths."""
    import torch

    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=23,
        n_positions=16,
        n_embd=24,
        n_layer=2,
        n_head=3,
        initializer_range=0.4,
        bos_token_id=20,
        eos_token_id=21,
        pad_token_id=22,
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    ours = untracr.load(theirs, task={"input": "x"})
    prompts = [[int(i) for i in torch.randint(0, 20, (n,))] for n in (1, 2, 2, 5, 9, 9, 15)]
    for prompt, written in zip(prompts, ours.complete(prompts), strict=True):
        ids = torch.tensor([prompt])
        whole = theirs.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_length=16
        )
        answer = whole[0, len(prompt) :].tolist()
        assert list(written) == (answer[: answer.index(21)] if 21 in answer else answer)
