"""The command line: one file per command, `main` puts them together.

Exit codes: 0 all is well; 1 an `UntracrError`, told in one line; 2 wrong usage;
3 the answer is no (a verdict not proved, problems found, programs that differ);
130 interrupted; 141 nobody reads our output any more.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

from untracr.cli.entry import main

__all__ = ["main"]
