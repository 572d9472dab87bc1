"""Random programs of the paper's kind; program i of a stream depends on (seed, i) alone."""

from __future__ import annotations

from untracr.sample.sampler import PAPER, SamplerSettings, sample_program, sample_programs

__all__ = ["PAPER", "SamplerSettings", "sample_program", "sample_programs"]
