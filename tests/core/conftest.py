"""Hypothesis without deadlines: a slow machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("pode_signals", deadline=None)
settings.load_profile("pode_signals")
