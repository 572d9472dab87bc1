"""``untracr dataset``: data sets of programs and their weights."""

from __future__ import annotations

from untracr.cli import dataset_build, dataset_info, dataset_show, dataset_verify
from untracr.cli.command import Group

COMMAND = Group(
    name="dataset",
    summary="build, check and look at data sets of programs and their weights",
    example="untracr dataset build programs --programs 10000 --seed 1",
    commands=(
        dataset_build.COMMAND,
        dataset_info.COMMAND,
        dataset_verify.COMMAND,
        dataset_show.COMMAND,
    ),
)
