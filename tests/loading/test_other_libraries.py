"""Models of TransformerLens and transformers compute the same once they are loaded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from check_lens import CLOSE, Case, cases, differences

CASES = dict(cases())

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES or ["neither library is installed"])
def test_logits_are_the_library_s(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live, from what the library writes, and in double precision."""
    if name not in CASES:
        pytest.skip("neither transformers nor transformer-lens is installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    make: Callable[[], Case] = CASES[name]
    found = differences(make())
    assert {way: off for way, off in found.items() if not off <= CLOSE} == {}
