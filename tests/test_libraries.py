"""The libraries that other tests compare with are there, so that none of these is skipped."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.mark.parametrize("library", ["tracr", "torch", "transformers", "transformer_lens"])
def test_a_library_of_the_test_extra_is_installed(library: str) -> None:
    assert find_spec(library) is not None, "pip install -e '.[test]' installs it"
