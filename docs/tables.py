"""The tables of the pages that are made from the package: ``python docs/tables.py`` writes them anew, nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import Attribute, fields

from pode_signals.command.keys import SERVICE_KEYS
from pode_signals.command.operations_keys import OPERATIONS_KEYS, option_name
from pode_signals.core.counters import Counters
from pode_signals.core.descriptions import description
from pode_signals.core.log_events import EVENTS
from pode_signals.core.settings import Settings
from pode_signals.insight.numbers import NUMBERS
from pode_signals.operations.metric_table import METRICS, Metric
from pode_signals.wire.frame_types import FRAME_TYPES
from pode_signals.wire.frames import CloseCode
from pode_signals.wire.reconnect import ComesBack, comes_back
from pode_signals.wire.v1 import ErrorCode

PAGES = sorted(Path(__file__).parent.glob("*.md"))

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def rendered(page: str) -> str:
    """The text of a page with its tables as they have to be."""
    return _TABLE.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n\n{match[3]}", page)


def settings_table() -> str:
    """Each setting with its default, what it may be and what it means."""
    rows = (
        (f"`{each.name}`", _default(each), _values(each), _markdown(description(each).text))
        for each in fields(Settings)
    )
    return _table(("setting", "default", "value", "meaning"), rows)


def options_table() -> str:
    """Each option of the command that is no setting."""
    rows = (
        (f"`--{'endpoint' if name == 'endpoints' else name.replace('_', '-')}`", _markdown(key.text), key.default)
        for name, key in SERVICE_KEYS.items()
    )
    return _table(("option", "meaning", "without the option"), rows)


def operations_table() -> str:
    """Each key of the section of operations with its option."""
    rows = (
        (f"`{name}`", f"`--{option_name(name)}`", _markdown(key.text), key.default)
        for name, key in OPERATIONS_KEYS.items()
    )
    return _table(("key", "option", "meaning", "without it"), rows)


def log_events_table() -> str:
    """Each event of the log with what it means."""
    return _table(("event", "meaning"), ((f"`{name}`", _markdown(text)) for name, text in EVENTS.items()))


def counters_table() -> str:
    """Each counter with what it counts."""
    rows = [(f"`{each.name}{_braces(each)}`", _markdown(description(each).text)) for each in fields(Counters)]
    sums = {name: each.__doc__ or "" for name, each in vars(Counters).items() if isinstance(each, property)}
    rows += [(f"`{name}`", text) for name, text in sums.items()]
    return _table(("counter", "counts"), rows)


def numbers_table() -> str:
    """Each number of ``signals.insight`` with its labels and what it means."""
    rows = (
        (f"`{name}`", ", ".join(f"`{label}`" for label in each.labels), each.text) for name, each in NUMBERS.items()
    )
    return _table(("number", "by", "meaning"), rows)


def metrics_table() -> str:
    """Each metric with its type, its labels and what they may be, and what it means."""
    rows = (
        (f"`{name}`", each.type.value, _labels_of(each), each.cost.value, each.text) for name, each in METRICS.items()
    )
    return _table(("metric", "type", "labels", "costs", "meaning"), rows)


def buckets_table() -> str:
    """The bounds of each histogram."""
    rows = (
        (f"`{name}`", ", ".join(str(bound) for bound in each.buckets)) for name, each in METRICS.items() if each.buckets
    )
    return _table(("histogram", "bounds"), rows)


def close_codes_table() -> str:
    """Each close code with its name, who defined it and when it is used."""
    rows = ((str(each.value), f"`{each.name}`", each.source, _markdown(each.meaning)) for each in CloseCode)
    return _table(("code", "`CloseCode`", "defined by", "meaning"), rows)


def frames_table() -> str:
    """Each type of frame that can come, with who sends it and what it says."""
    rows = ((f"`{each.type}`", each.by, each.summary) for each in FRAME_TYPES if each.name not in NOT_BUILT)
    return _table(("frame", "from", "says"), rows)


def frame_table(name: str) -> str:
    """Each field of a frame beside its type, as the schema has it."""
    frame = _schema()[name]
    rows = (
        (f"`{key}`", _shape(each), "always" if key in frame["required"] else "", each["description"])
        for key, each in frame["properties"].items()
        if key != "type"
    )
    return _table(("field", "value", "there", "meaning"), rows)


def error_codes_table() -> str:
    """Each code of an error with its text and when it comes."""
    rows = (
        (f"`{each.value}`", _markdown(each.meaning), each.text, "yes" if each.is_bad_message else "no")
        for each in ErrorCode
    )
    return _table(("code", "when", "text", "counts as a bad message"), rows)


def reconnect_table() -> str:
    """Each kind of end with the close codes that mean it."""
    rows = []
    for each in ComesBack:
        codes = [f"{code.value}" for code in CloseCode if comes_back(code) is each]
        codes += [text for text, sample in OTHER_CODES.items() if comes_back(sample) is each]
        rows.append((", ".join(codes), each.meaning))
    return _table(("close code", "does the client connect again?"), rows)


OTHER_CODES = {
    "others from 3000 to 3499": 3499,
    "others from 3500 to 4999": 3500,
    "all that are not in this table": 2999,
}
"""Close codes without a name, with one of each kind."""

NOT_BUILT = ("presence",)
"""The frames that the schema describes and no server sends yet."""

TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "options": options_table,
    "operations": operations_table,
    "log_events": log_events_table,
    "counters": counters_table,
    "numbers": numbers_table,
    "metrics": metrics_table,
    "buckets": buckets_table,
    "close_codes": close_codes_table,
    "frames": frames_table,
    "error_codes": error_codes_table,
    "reconnect": reconnect_table,
    **{f"frame_{each.name}": partial(frame_table, each.name) for each in FRAME_TYPES if each.name not in NOT_BUILT},
}
"""What makes the table that a page names."""


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def _labels_of(metric: Metric) -> str:
    if not metric.labels:
        return ""
    labels = ", ".join(f"`{each}`" for each in metric.labels)
    return f"{labels}: {metric.bound or ', '.join(f'`{each}`' for each in metric.known)}"


def _braces(attribute: Attribute[Any]) -> str:
    return "{}" if "Counter" in str(attribute.type) else ""


def _default(attribute: Attribute[Any]) -> str:
    value = attribute.default
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}".removesuffix(".0")
    return "none" if value == () else str(value)


def _values(attribute: Attribute[Any]) -> str:
    values = _markdown(description(attribute).values)
    if isinstance(attribute.default, Enum):
        return f"{values} (`{type(attribute.default).__name__}`)"
    return values


@cache
def _schema() -> dict[str, Any]:
    text = (files("pode_signals.wire") / "v1.schema.json").read_text(encoding="utf-8")
    definitions: dict[str, Any] = json.loads(text)["$defs"]
    return definitions


def _shape(schema: dict[str, Any]) -> str:
    """Which values a field may have, in words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return _SHAPES.get(name) or _shape(_schema()[name])
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{json.dumps(each)}`" for each in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return ", or ".join(map(_shape, schema["anyOf"]))
    if "not" in schema:
        return "any but null"
    types = schema.get("type")
    if types == "array":
        return f"list of {_shape(schema['items'])}"
    # A field that is null is like one that is not there.
    words = [_WORDS[each] for each in ([types] if isinstance(types, str) else types or ["any"]) if each != "null"]
    return " or ".join(words)


_SHAPES = {"oneOrMore": "text, integer, or a list of these"}
_WORDS = {"any": "any", "boolean": "true or false", "integer": "integer", "number": "number", "string": "text"}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(each.replace("|", "\\|") for each in line) + " |" for line in lines)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")
