"""``python -m untracr``."""

from __future__ import annotations

import sys

from untracr.cli.entry import main

sys.exit(main())
