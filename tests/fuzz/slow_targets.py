"""What the search for slow inputs is run on: five ways by which bytes of a client come in."""

from __future__ import annotations

from fuzz.growth import SlowTarget
from fuzz.slow_messages import Frames, Messages
from fuzz.slow_requests import Bodies, Heads, Targets

SLOW_TARGETS: tuple[type[SlowTarget], ...] = (Heads, Bodies, Targets, Messages, Frames)
