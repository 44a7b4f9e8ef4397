"""Hypothesis without deadlines: a slow machine is no failure.

``HYPOTHESIS_PROFILE=nightly`` looks far longer. ``mutation`` is for mutmut: each run tries the same, and a test of a
class runs several times in one process, each time on another instance.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("pode_signals", deadline=None)
settings.register_profile("nightly", deadline=None, max_examples=10_000, stateful_step_count=50)
settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "pode_signals"))
