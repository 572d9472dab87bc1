"""One thread of linear algebra for each worker process.

More would get in each other's way and starve the process that waits for them, and
linear algebra by several threads may end in other last bits. NumPy reads these
variables when it is loaded, so a new process must find them in its environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that say how many threads linear algebra takes."""

SINGLE_THREADED = dict.fromkeys((*BLAS_THREADS, "ARROW_IO_THREADS"), "1")
"""The environment of every worker."""


@contextmanager
def workers_have_one_thread() -> Iterator[None]:
    """Processes started inside have `SINGLE_THREADED`; this one's environment is put back."""
    before = {name: os.environ.get(name) for name in SINGLE_THREADED}
    os.environ.update(SINGLE_THREADED)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
