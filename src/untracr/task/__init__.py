"""What a file of weights cannot say: names of tokens, where outputs count, what they mean."""

from __future__ import annotations

from untracr.task.accuracy import Wanted, accuracy
from untracr.task.completing import complete
from untracr.task.documents import told_of
from untracr.task.files import task_beside, task_file
from untracr.task.running import Answer, answers, run, run_ids
from untracr.task.settling import settled
from untracr.task.task import (
    AfterToken,
    AtToken,
    EveryPosition,
    FromToken,
    Label,
    LastPosition,
    Layout,
    Lengths,
    NextToken,
    NextTokens,
    Number,
    Specials,
    Task,
)
from untracr.task.told import Told

__all__ = [
    "AfterToken",
    "Answer",
    "AtToken",
    "EveryPosition",
    "FromToken",
    "Label",
    "LastPosition",
    "Layout",
    "Lengths",
    "NextToken",
    "NextTokens",
    "Number",
    "Specials",
    "Task",
    "Told",
    "Wanted",
    "accuracy",
    "answers",
    "complete",
    "run",
    "run_ids",
    "settled",
    "task_beside",
    "task_file",
    "told_of",
]
