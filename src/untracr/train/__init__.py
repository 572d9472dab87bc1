"""Training the meta-model; all but this front door needs torch (``untracr[train]``)."""

from __future__ import annotations

from untracr.train.stop_request import StopRequest

__all__ = ["StopRequest"]
