"""Values of keys from their texts, as command lines and variables of the environment have them. It reads neither."""

from __future__ import annotations

from typing import Any

from attrs import fields

from ..core.paths import absolute_path
from ..core.settings import SETTING_NAMES, Settings
from ..errors import ConfigurationInvalid
from .keys import FLAGS, PATHS, SERVICE_KEYS, checked_settings, checked_value

__all__ = ["setting_from_text", "value_from_text"]

_TRUE_AND_FALSE = {"true": True, "yes": True, "false": False, "no": False}
_SECONDS = ("drain_seconds", "lame_duck_seconds")
_LISTS = tuple(each.name for each in fields(Settings) if str(each.type).startswith("tuple"))


def value_from_text(key: str, text: str, shown: str) -> Any:
    """The value of a key, checked. A path becomes absolute.

    Args:
        key: one of :data:`~.keys.FILE_KEYS`, and not ``endpoints``.
        text: the text.
        shown: how whoever wrote the text calls the key, for the error.

    Raises:
        ConfigurationInvalid: the key does not take this value; the sentence begins with ``shown``.
    """
    try:
        value = _value(key, text)
        if key in SERVICE_KEYS:
            checked_value(key, value)
        else:
            checked_settings({key: value})
    except ConfigurationInvalid as error:
        # The sentence begins with the key, as it is written in a configuration file.
        raise ConfigurationInvalid(f"{shown}{str(error).removeprefix(key)}") from error
    return value


def _value(key: str, text: str) -> Any:
    if key in FLAGS:
        return _TRUE_AND_FALSE.get(text.strip().lower(), text)
    if key in PATHS:
        return absolute_path(text) if text else text
    if key in SETTING_NAMES or key in _SECONDS:
        return setting_from_text(key, text)
    return text


def setting_from_text(name: str, text: str) -> object:
    """The value of a setting from its text: ``100``, ``2.5``, ``yes``, ``none``, ``a,b``.

    A text that fits none of these is returned as a word, which the check of the setting takes or refuses.
    """
    word = text.strip().lower()
    if word == "none":
        return None
    if name in _LISTS:
        return [each.strip() for each in text.split(",") if each.strip()]
    if word in _TRUE_AND_FALSE:
        return _TRUE_AND_FALSE[word]
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    return word
