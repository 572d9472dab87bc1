"""Settings of the whole test suite."""

from __future__ import annotations

from hypothesis import settings

# A busy machine must not fail a property that holds: no test here is about time.
settings.register_profile("untracr", deadline=None)
settings.load_profile("untracr")
