"""Checks the arguments of ``convert``, and what is given for a resource. It looks at no request of a client."""

from __future__ import annotations

from collections.abc import Iterable
from types import MethodType

from ..core.groups import given_groups
from ..core.model import Scope
from ..core.names import client_id_text
from ..errors import ConfigurationInvalid
from .requests import check_is_request, is_request

__all__ = ["check_arguments", "check_resource", "with_article"]


def check_arguments(
    request: object, name: object, group: object, client_id: object, scope: object, subprotocols: object
) -> None:
    """Refuse arguments that can only be a mistake of the program. The rules for names are checked later.

    Raises:
        TypeError: an argument is in the place of another one, or has a wrong type; the sentence names the argument.
        ValueError: there is no such scope.
    """
    if is_request(name):
        raise TypeError("convert takes the request first and the name second: signals.convert(request, name)")
    check_is_request("convert", request)
    _check_text("name", name)
    given_groups(group)
    if client_id is not None:
        client_id_text(client_id)
    if scope is not None and scope not in (*Scope, *(each.value for each in Scope)):
        raise ValueError(f"the scope has to be one of {', '.join(each.value for each in Scope)}, not {scope!r}")
    # A single text is a sequence of texts as well, and its letters must not become subprotocols.
    if isinstance(subprotocols, (str, bytes)) or not isinstance(subprotocols, Iterable):
        raise TypeError(f"subprotocols has to be a list of str, not {type(subprotocols).__name__}")
    for each in subprotocols:
        _check_text("subprotocol", each)


def check_resource(call: str, resource: object) -> None:
    """Check that an argument is a resource of twisted.web: each request would fail with any other.

    Args:
        call: the name of the class or method that got the argument.
        resource: the argument.

    Raises:
        ConfigurationInvalid: the argument is no resource; the sentence says how one is made of it, where that is known.
    """
    if isinstance(resource, type):
        raise ConfigurationInvalid(f"the resource of {call} is the class {resource.__name__}: make an instance")
    if all(hasattr(resource, name) for name in ("isLeaf", "getChildWithDefault", "render")):
        return
    if callable(getattr(resource, "resource", None)):
        hint = ": write app.resource() in place of app"
    elif isinstance(resource, MethodType) and resource.__name__ == "resource":
        hint = ", which is no resource of twisted.web; call it: app.resource()"
    else:
        hint = ", which is no resource of twisted.web"
    raise ConfigurationInvalid(f"the resource of {call} is {with_article(resource)}{hint}")


def with_article(value: object) -> str:
    """The type of a value with its article."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _check_text(argument: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"the {argument} has to be a str, not {type(value).__name__}")
