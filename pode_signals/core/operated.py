"""What a service gives to those who operate it, as one value, which the service makes when it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from .contracts import ClockLike

__all__ = ["Operated"]


@frozen
class Operated:
    """What a service gives to those who operate it: functions to be called, each at any time.

    Attributes:
        state: tells where the service is between its start and its stop: ``starting``, ``ready``, ``draining``.
        clock: the clock of the service, which nobody sets.
        wall_time: tells the time (aware, UTC).
        read_text: reads a file that the operator names, at the start and again later; raises a ConfigurationInvalid.
        report: writes a log line, unless there were enough of its kind lately: the kind, the text, and the fields.
        call: calls a function of the user by a name for the log. It gives what the function gives, in a tuple; None
            where the function raised, which is in the log then.
        certificates: tells when each certificate expires (aware), by the text of its endpoint.
    """

    state: Callable[[], str]
    clock: ClockLike
    wall_time: Callable[[], datetime]
    read_text: Callable[[str, bool], str]
    report: Callable[..., None]
    call: Callable[[str, Callable[[], Any]], tuple[Any] | None]
    certificates: Callable[[], Mapping[str, datetime]]
