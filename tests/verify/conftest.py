"""All of a room's tests check the shapes that its signatures give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from array_shapes import checked_modules, shapes_checked


@pytest.fixture(autouse=True, scope="module")
def _shapes() -> Iterator[None]:
    with shapes_checked(checked_modules()):
        yield
