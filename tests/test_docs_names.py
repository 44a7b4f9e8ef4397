"""The documentation: the names that it speaks of exist, and none is missing where all have to be."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple, Unpack, get_args, get_type_hints

import pytest
from pages import DOCS, PAGES, ROOT, SPAN, by_page, spans
from twisted.internet.task import Clock
from twisted.web.resource import Resource

import pode_signals
from pode_signals import client, errors, testing
from pode_signals.core.log_events import EVENTS
from pode_signals.core.model import ClientMessage, Closure, Identity
from pode_signals.core.request_record import RequestRecord
from pode_signals.hub.connection import view_of
from pode_signals.hub.link import Link
from pode_signals.signals import hub_of

# Names in the text.


def roots() -> dict[str, list[Any]]:
    """What the first word of a name in the text stands for; for some words there are several."""
    signals = pode_signals.Signals(clock=Clock())
    record = RequestRecord(b"GET", b"/msg", [], "192.0.2.7", False)
    link = Link(hub_of(signals), Identity("Msg", (), "ada"), record)
    connection = view_of(link)
    link.closure = closure = Closure(1000)
    signal_event = pode_signals.SignalEvent(hub_of(signals), connection, ClientMessage("hello"), None, 0)
    triggered = pode_signals.TriggeredEvent(
        "Msg", pode_signals.EventType.CONNECT, connection, signal_event.timestamp, signals.lockable
    )
    return {
        "signals": [signals],
        "counters": [signals.counters],
        "connection": [connection],
        "closure": [closure],
        "by": [closure.by],
        "event": [signal_event, triggered],
        "delivery": [signals.send("", name="Msg")],
        "service": [pode_signals.SignalsService(signals, Resource(), [])],
        "refused": [errors.OriginRefused()],
        **{name: [getattr(pode_signals, name)] for name in pode_signals.__all__},
        **{name: [getattr(client, name)] for name in client.__all__},
    }


ROOTS = roots()


def problem_with(text: str) -> str | None:
    """What is wrong with a name or a call of ours in the text; None where it is good, or none of ours."""
    if re.split(r"\W", text)[0] not in ROOTS or text.endswith(".py") or " = " in text or text in EVENTS:
        return None
    expression = ast.parse(text.replace("…", "..."), mode="eval").body
    call = expression if isinstance(expression, ast.Call) else None
    path = ast.unparse(expression if call is None else call.func).split(".")
    found = [each for root in ROOTS[path[0]] for each in walk(root, path[1:])]
    if not found:
        return f"{text}: there is no such thing"
    return None if call is None else problem_with_call(found[0], call)


def walk(value: Any, path: list[str]) -> list[Any]:
    """What is there at the end of a path of attributes, in a list; an empty list where it leads nowhere."""
    for name in path:
        if not hasattr(value, name):
            return []
        value = getattr(value, name)
    return [value]


def problem_with_call(function: Any, call: ast.Call) -> str | None:
    """Whether a function takes these arguments; a lone ``…`` stands for any."""
    if len(call.args) == 1 and not call.keywords and ast.unparse(call.args[0]) == "...":
        return None
    names = parameters(function)
    keywords = [each.arg for each in call.keywords]
    unknown = [each for each in keywords if each not in names]
    if unknown or len(call.args) > len(names):
        return f"{ast.unparse(call)}: it has the parameters {', '.join(names)}"
    return None


def parameters(function: Any) -> list[str]:
    """The names of the parameters of a function or class, those of a TypedDict (``**options``) one by one."""
    names = []
    for each in inspect.signature(function).parameters.values():
        if each.kind is not each.VAR_KEYWORD:
            names.append(each.name)
            continue
        module = sys.modules[function.__module__]
        options = get_args(eval(str(each.annotation), {**vars(module), "Unpack": Unpack}))[0]
        names += get_type_hints(options)
    return names


@by_page
def test_names_exist(page: Path) -> None:
    """S0.1: what the text calls ``signals.something(…)``, ``event.something`` and so on exists and takes that."""
    assert list(filter(None, map(problem_with, spans(page)))) == []


# Names of Python, Twisted and others that begin with a capital and go on with small letters and capitals.
FOREIGN = {"EventSource", "MultiService", "SignalsError", "TimeoutStopSec", "TimerService", "WebSocket"}


@by_page
def test_classes_exist(page: Path) -> None:
    """S0.1: the classes and errors in the text exist."""
    modules = (pode_signals, client, testing, errors)
    known = {*(name for module in modules for name in module.__all__), *dir(builtins), *FOREIGN, *PARTS}
    written = {each for each in spans(page) if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", each)}
    assert written - known == set()


PARTS = {base.__name__ for base in pode_signals.Signals.__mro__} | {
    *("FanOut", "Dispatch", "ForwardedPosts", "SharedAcknowledgements", "SharedVersions"),
}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("signals.send(data, name=…)", True),
        ("signals.send(data, nme=…)", False),
        ("signals.snd(…)", False),
        ("event.data.client_id", True),
        ("event.data.clientid", False),
        ("event.type", True),
        ("Scope.LOCAL", True),
        ("Scope.Local", False),
        ("signals.schedule(name, cron, limit=3)", True),
        ("Signals(max_names=3, max_nams=3)", False),
        ("something.different", True),
    ],
)
def test_the_check_of_names_can_fail(text: str, good: bool) -> None:
    """A name or an argument that does not exist is found."""
    assert (problem_with(text) is None) is good


def test_reference_is_complete() -> None:
    """S0.1: the reference has every public name, and whatever of Signals the other pages speak of or Pode has too."""
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert [name for name in pode_signals.__all__ if f"pode_signals.{name}\n" not in reference] == []
    documented = set(re.findall(r"auto(?:method|property):: Signals\.(\w+)", reference))
    methods = dict(inspect.getmembers(pode_signals.Signals))
    assert documented <= methods.keys()
    spoken_of = {name for page in PAGES for name in re.findall(r"signals\.(\w+)", page.read_text(encoding="utf-8"))}
    of_pode = {name for name, value in methods.items() if "(Pode: " in (inspect.getdoc(value) or "")}
    assert (spoken_of & methods.keys() | of_pode) - documented == set()


@pytest.mark.parametrize(
    ("kind", "word"), [(pode_signals.Signals, "Signals"), (pode_signals.SignalConnection, "SignalConnection")]
)
def test_what_is_offered_is_documented(kind: type, word: str) -> None:
    """S0.1: Signals and connections offer the documented names and no others."""
    offered = {name for name in dir(kind) if not name.startswith("_")}
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    documented = set(re.findall(rf"auto(?:method|property):: {word}\.(\w+)", reference))
    if f".. autoclass:: pode_signals.{word}\n   :members:\n" in reference:
        documented |= {name for name in offered if inspect.getdoc(getattr(kind, name))}
    assert offered == documented


CONSTANT = re.compile(r"_?[A-Z0-9_]+")
CODE = re.compile(r"(?::[\w:]+:)?`+[^`]+`+")


def first_lines_of_values(tree: ast.Module) -> dict[str, str]:
    """The first line of the docstring of each property, attribute and constant, without its code and references."""
    found = {}
    for body in [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
        for before, node in zip([None, *body], body, strict=False):
            if isinstance(node, ast.FunctionDef) and any("property" in ast.unparse(e) for e in node.decorator_list):
                found[node.name] = ast.get_docstring(node) or ""
            elif isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(node, ast.Expr):
                found[ast.unparse(before).partition(" = ")[0]] = ast.literal_eval(node.value)
    return {name: CODE.sub("", text.partition("\n")[0]) for name, text in found.items()}


@pytest.mark.parametrize("path", sorted((ROOT / "pode_signals").rglob("*.py")), ids=lambda path: path.stem)
def test_no_docstring_of_a_value_has_a_type_by_mistake(path: Path) -> None:
    """S0.1: the docstring of a property or constant has no colon in its first line: Sphinx would take what stands
    before the colon for its type.
    """
    lines = first_lines_of_values(ast.parse(path.read_text(encoding="utf-8")))
    documented = re.findall(r"autodata:: .*\.(\w+)", (DOCS / "reference.md").read_text(encoding="utf-8"))
    lines = {name: line for name, line in lines.items() if not CONSTANT.fullmatch(name) or name in documented}
    assert [name for name, line in lines.items() if ":" in line] == []


def test_the_check_of_first_lines_can_fail() -> None:
    """A colon in the first line of such a docstring is found, one in code or in a reference is not."""
    text = '''
class C:
    LIMIT = 1
    """A bound: none over it."""

    @property
    def size(self):
        """The size: of all, see :meth:`x`."""

    @property
    def good(self):
        """``a: b`` and :class:`C`.

        Below: anything.
        """
'''
    lines = first_lines_of_values(ast.parse(text))
    assert [name for name, line in lines.items() if ":" in line] == ["LIMIT", "size"]


def test_architecture_lists_every_module() -> None:
    """S0.1: the list of modules in the architecture is the list of files."""
    listed = set(re.findall(r"`((?:\w+/)*\w+\.py)`", (DOCS / "architecture.md").read_text(encoding="utf-8")))
    package = ROOT / "pode_signals"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert listed == {name for name in files if not name.endswith("/__init__.py")}


# Coming from Pode.

PODE = {
    "ConvertTo-PodeSignalConnection": "Name Group Scope ClientId",
    "Set-PodeSignalDefaultScope": "Scope",
    "Get-PodeSignalDefaultScope": "",
    "$WebEvent.Signal": ".Name .Group .ClientId .IsLocal .IsGlobal .Scope .Timestamp .LastActivity .IsClosed"
    " .IsDisposed",
    "Send-PodeSignal": "Data Name Group ClientId Depth Mode IgnoreEvent",
    "Close-PodeSignalConnection": "Name Group ClientId",
    "Test-PodeSignalClientIdSigned": "ClientId",
    "Test-PodeSignalClientIdValid": "ClientId",
    "Test-PodeSignalName": "Name",
    "Test-PodeSignalClientId": "Name Group ClientId",
    "New-PodeSignalClientId": "ClientId",
    "Enable-PodeSignalSigning": "Secret Strict",
    "Disable-PodeSignalSigning": "",
    "Set-PodeSignalBroadcastLevel": "Name Type",
    "Get-PodeSignalBroadcastLevel": "Name",
    "Test-PodeSignalBroadcastLevel": "Name Group ClientId",
    "Get-PodeSignalNameList": "",
    "Get-PodeSignalGroupList": "Name",
    "Get-PodeSignalClientIdList": "Name Group",
    "Register-PodeSignalEvent": "Name Type EventName ScriptBlock ArgumentList",
    "Unregister-PodeSignalEvent": "Name Type EventName",
    "Test-PodeSignalEvent": "Name Type EventName",
    "Get-PodeSignalEvent": "Name Type EventName",
    "$TriggeredEvent": ".Lockable .Metadata .Name .Type .Timestamp .Connection",
    "Add-PodeSignalRoute": "Path ScriptBlock EndpointName FilePath ArgumentList IfExists",
    "Add-PodeSignalRouteGroup": "Path Routes EndpointName IfExists",
    "Remove-PodeSignalRoute": "Path EndpointName",
    "Clear-PodeSignalRoutes": "",
    "Get-PodeSignalRoute": "Path EndpointName",
    "Test-PodeSignalRoute": "Path EndpointName",
    "$SignalEvent": ".Data.Message .Data.Path .Data.Group .Data.ClientId .Data.Direct .Endpoint.Protocol"
    " .Endpoint.Address .Endpoint.Name .Lockable .Path .Request .Response .Route .Streamed .Timestamp .ClientId"
    " .Metadata .ContextId",
    "Get-PodeServerDefaultSecret": "",
    "Get-PodeServerSignalMetric": "",
    "Get-PodeServerActiveSignalMetric": "Type CountType",
    "Get-PodeServerActiveSignalClientMetric": "Name",
    "Add-PodeEndpoint": "Address Port Hostname Protocol Certificate CertificatePassword CertificateKey"
    " CertificateThumbprint CertificateName CertificateStoreName CertificateStoreLocation X509Certificate TlsMode Name"
    " RedirectTo Description Acknowledge SslProtocol CRLFMessageEnd Force SelfSigned AllowClientCertificate PassThru"
    " LookupHostname DualMode Default NoAutoUpgradeWebSockets",
    "Add-PodeSchedule": "Name Cron ScriptBlock Limit StartTime EndTime FilePath ArgumentList Timeout TimeoutFrom"
    " OnStart",
    "Set-PodeScheduleConcurrency": "Maximum",
    "Invoke-PodeSchedule": "Name ArgumentList",
    "Remove-PodeSchedule": "Name",
    "Clear-PodeSchedules": "",
    "Edit-PodeSchedule": "Name Cron ScriptBlock ArgumentList",
    "Get-PodeSchedule": "Name StartTime EndTime",
    "Test-PodeSchedule": "Name",
    "Get-PodeScheduleNextTrigger": "Name DateTime",
    "Use-PodeSchedules": "Path",
    "Get-PodeScheduleProcess": "Name Id State",
    "New-PodeCron": "Minute Hour Date Month Day Every Interval",
    "Add-PodeTimer": "Name Interval ScriptBlock Limit Skip FilePath ArgumentList OnStart",
    "Invoke-PodeTimer": "Name ArgumentList",
    "Remove-PodeTimer": "Name",
    "Clear-PodeTimers": "",
    "Edit-PodeTimer": "Name Interval ScriptBlock ArgumentList",
    "Get-PodeTimer": "Name",
    "Test-PodeTimer": "Name",
    "Use-PodeTimers": "Path",
}
"""Pode's functions with their parameters, and its objects with their properties."""


class Row(NamedTuple):
    """A row of a table that has Pode on the left and this package beside it."""

    pode: list[str]
    here: list[str]


def pode_rows() -> list[Row]:
    """The rows of the tables, without their heads."""
    page = (DOCS / "pode.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (`.+?) \| (.+?) \| .*\|$", page, re.MULTILINE)
    return [Row(SPAN.findall(pode), SPAN.findall(here)) for pode, here in lines]


def test_pode_page_is_complete() -> None:
    """S0.1: "Coming from Pode" has each function, parameter and property of Pode's Signals, Schedules and Timers."""
    found: dict[str, set[str]] = {}
    current: set[str] = set()
    for row in pode_rows():
        for name in row.pode:
            if name.startswith(("-", ".")):
                current.add(name)
            else:
                current = found.setdefault(name, set())
    for subject, members in PODE.items():
        wanted = {each if each.startswith(".") else f"-{each}" for each in members.split()}
        assert wanted <= found.get(subject, {"nothing"}), subject


def test_names_on_the_pode_page_exist() -> None:
    """S0.1: each name of ours beside one of Pode's exists; a parameter is one of the function above it."""
    functions: list[Any] = []
    for row in pode_rows():
        is_parameter = row.pode[0].startswith("-")
        for name in row.here:
            if is_parameter and name not in ROOTS:
                assert any(name in parameters(function) for function in functions), row
            else:
                assert name.split(".")[0].split("(")[0] in ROOTS, row
                assert problem_with(name) is None, row
        if not is_parameter:
            called = [name.partition("(")[0].split(".") for name in row.here if "(" in name]
            functions = [each for path in called for each in walk(ROOTS[path[0]][0], path[1:])]


def test_arguments_of_the_python_client() -> None:
    """S0.1: the table on the page of the Python client has each argument of it, and no other."""
    page = (DOCS / "python-client.md").read_text(encoding="utf-8")
    table = page.partition("## Arguments\n")[2].partition("\n## ")[0]
    listed = [name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in SPAN.findall(row)]
    assert listed == parameters(client.SignalClient)
