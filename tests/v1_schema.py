"""The schema of ``pode.signals.v1`` that the package ships, as validators. Nothing here makes frames."""

from __future__ import annotations

import json
from copy import deepcopy
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

__all__ = ["CLIENT_FRAME", "SCHEMA", "SERVER_FRAME", "validator"]

SCHEMA: dict[str, Any] = json.loads((files("pode_signals.wire") / "v1.schema.json").read_text(encoding="utf-8"))

SERVER_FRAMES = ("hello", "signal", "reply", "error", "serverBeat", "presence")


def validator(anchor: str, *, strict: bool = False) -> Draft202012Validator:
    """A validator for one part of the schema.

    Args:
        anchor: the anchor of the part.
        strict: whether a field that the schema does not know is an error in what the server writes.
    """
    schema = deepcopy(SCHEMA)
    if strict:
        for name in (*SERVER_FRAMES, "member"):
            schema["$defs"][name]["unevaluatedProperties"] = False
    return Draft202012Validator({**schema, "$ref": f"#{anchor}"})


CLIENT_FRAME = validator("client")
SERVER_FRAME = validator("server", strict=True)
