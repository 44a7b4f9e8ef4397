"""Names of Host headers, remembered: nearly every request of a server has one of the same few. It decides nothing."""

from __future__ import annotations

from functools import lru_cache

from ..core.origin import host_name

__all__ = ["known_host_name"]

known_host_name = lru_cache(maxsize=256)(host_name)
"""``host_name``, which says the same for the same header each time."""
