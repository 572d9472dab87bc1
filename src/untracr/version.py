"""The package's version; `pyproject.toml` has it as well, and a test compares them."""

from __future__ import annotations

__version__ = "0.1.0"
