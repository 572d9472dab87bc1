"""Random programs of the paper's kind; program i of a stream depends on (seed, i) alone."""

from __future__ import annotations

from untracr.sample.deduplication import Overlap, first_of_each, overlap, program_key
from untracr.sample.sampler import PAPER, SamplerSettings, sample_program, sample_programs
from untracr.sample.statistics import SampleStatistics, statistics

__all__ = [
    "PAPER",
    "Overlap",
    "SampleStatistics",
    "SamplerSettings",
    "first_of_each",
    "overlap",
    "program_key",
    "sample_program",
    "sample_programs",
    "statistics",
]
