"""What the environment of the process says about speed, read once. It says nothing about any other matter."""

from __future__ import annotations

import os

__all__ = ["FAST"]

FAST = os.environ.get("PODE_SIGNALS_FAST", "on") != "off"
"""Whether what exists only for speed may be used at all: ``PODE_SIGNALS_FAST=off`` says no, whatever settings say."""
