"""What the environment of the process says about speed, read once. It reads no other variable."""

from __future__ import annotations

import os

__all__ = ["FAST"]

FAST = os.environ.get("PODE_SIGNALS_FAST", "on") != "off"
"""Whether code that exists only for speed may be used. ``PODE_SIGNALS_FAST=off`` forbids it, whatever settings say."""
