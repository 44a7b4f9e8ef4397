"""Hypothesis without deadlines: a slow machine is no failure. ``HYPOTHESIS_PROFILE=nightly`` looks far longer."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("pode_signals", deadline=None)
settings.register_profile("nightly", deadline=None, max_examples=10_000, stateful_step_count=50)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "pode_signals"))
