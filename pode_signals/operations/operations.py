"""Operations: what those who operate a service get, on endpoints of their own. It binds no port itself."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from prometheus_client import CollectorRegistry
from twisted.logger import Logger

from .. import Endpoint, Signals
from ..core.addresses import is_loopback
from ..core.operated import Operated
from ..core.paths import absolute_path
from ..core.tokens import RANDOM_BYTES, NewToken, Tokens, new_token
from ..errors import ConfigurationInvalid
from .causes import Cause
from .guard import Guard, Operator
from .health import Health
from .metrics import Metrics
from .tree import Page, Tree

__all__ = ["Operations"]

# A twisted.web.server.Request: most of its attributes that are used here have no annotations.
Request = Any

_LIVE_PATHS = ("/livez", "/healthz")
_READY_PATH = "/readyz"
_METRICS_PATH = "/metrics"
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_LOOPBACK_STRING = re.compile(r"tcp:.*\binterface=(?:127\.0\.0\.1|localhost|\\:\\:1)(?::|$)")
_UNIX_STRING = "unix:"
_OTHERS_RIGHTS = stat.S_IRWXG | stat.S_IRWXO


class Operations:
    """What those who operate a service get: health and metrics, on endpoints that open first and close last.

    ::

        SignalsService(
            signals, app.resource(), endpoints, operations=Operations(endpoints=[Endpoint("http", port=8092)])
        )

    Whoever may open the UNIX socket as the same user may do all; whoever is on this machine may read, by loopback;
    everybody else needs a token. Health needs none, and tells others no more than one word.

    Args:
        endpoints: where to listen, as a list: ``http`` and ``https``. It may be empty where
            ``health_on_application`` or ``operations_on_application`` is True.
        tokens: the file of tokens, in TOML, which is read at the start and at a reload. None is no tokens.
        prefix: the path below which everything is on the ports of the application.
        metric_names: names of connections that have series of their own in the metrics from the start.
        max_metric_names: how many names have such series, beside those.
        ready_needs_backplane: whether no new clients should be sent here while the other nodes are not reached.
        health_on_application: whether ``/livez``, ``/healthz`` and ``/readyz`` are answered on the ports of the
            application too, in each of its states. They go before the application's own routes of these names.
        operations_on_application: whether everything is below ``prefix`` on the ports of the application too. A token
            is needed there for all but health, wherever a request comes from.

    Raises:
        ConfigurationInvalid: what can't work, or would be open to others without a token.
        ValueError, TypeError: another argument makes no sense.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        endpoints: Iterable[Endpoint],
        tokens: str | os.PathLike[str] | None = None,
        prefix: str = "/signals",
        metric_names: Iterable[str] = (),
        max_metric_names: int = 20,
        ready_needs_backplane: bool = False,
        health_on_application: bool = False,
        operations_on_application: bool = False,
    ) -> None:
        if not isinstance(prefix, str) or _PREFIX.fullmatch(prefix) is None:
            raise ConfigurationInvalid(f"prefix has to be a path without a slash at its end, not {prefix!r}")
        # The service checks them, and names a mistake.
        is_no_list = isinstance(endpoints, str | Endpoint)
        self.endpoints: tuple[Endpoint, ...] = cast(Any, endpoints) if is_no_list else tuple(endpoints)
        self.health_on_application = health_on_application
        self.operations_on_application = operations_on_application
        self._token_file = None if tokens is None else absolute_path(os.fspath(tokens))
        self._prefix = prefix
        # A generator would be empty when it is read for the second time.
        self._metric_names = metric_names if isinstance(metric_names, str) else tuple(metric_names)
        self._max_metric_names = max_metric_names
        self._guard = Guard()
        self._health = Health(ready_needs_backplane=ready_needs_backplane)
        self._refused: Counter[str] = Counter()
        self._signals: Signals | None = None
        self._metrics: Metrics | None = None
        self._operated: Operated | None = None

    @staticmethod
    def new_token(
        *,
        label: str,
        scopes: Collection[str],
        names: Collection[str] | None = None,
        expires: datetime | None = None,
    ) -> NewToken:
        """Make a token.

        Args:
            label: whose it is; the log has this label.
            scopes: what it allows: some of ``read``, ``metrics``, ``send``, ``close``, ``watch``, ``jobs``; or ``all``.
            names: names of connections that it is for, each exact or with ``*`` at its end; None is every name.
            expires: when its time is over (aware); None is never.

        Returns:
            The token: its ``text``, which is kept nowhere, and the ``block`` for the file of tokens.

        Raises:
            ConfigurationInvalid: an argument makes no sense.
        """
        return new_token(os.urandom(RANDOM_BYTES), label=label, scopes=scopes, names=names, expires=expires)

    @property
    def registry(self) -> CollectorRegistry:
        """The registry of the metrics, for collectors of your own.

        Raises:
            RuntimeError: the operations belong to no service yet.
        """
        if self._metrics is None:
            raise RuntimeError("operations have a registry once they are given to a SignalsService")
        return self._metrics.registry

    @property
    def is_ready(self) -> bool:
        """Whether new clients should be sent here, as ``/readyz`` says."""
        return self._health.is_ready

    def causes(self) -> tuple[Cause, ...]:
        """What is wrong now, those causes first for which no new clients should be sent here."""
        return self._health.causes()

    def add_cause(self, code: str, function: Callable[[], Any], *, blocking: bool = False) -> None:
        """Have a function of yours say whether something is wrong; it is called once a second, never in a request.

        Args:
            code: a word for programs: ``database_away``.
            function: a plain function that gives a sentence, or True, while something is wrong; and a false value else.
                One that raises is taken for something wrong.
            blocking: whether no new clients should be sent here meanwhile.

        Raises:
            ValueError: the code is no word of a to z, 0 to 9 and ``_``, or is taken.
            TypeError: the function can't be called.
        """
        self._health.add_cause(code, function, blocking=blocking)

    # What the service calls.

    @property
    def token_file(self) -> str | None:
        """The file of tokens."""
        return self._token_file

    def attach(self, signals: Signals) -> None:
        """Belong to the service of a hub, from now on and for good.

        Raises:
            ConfigurationInvalid: they belong to another service.
        """
        if self._signals is not None:
            raise ConfigurationInvalid("these Operations belong to another service: make new ones")
        metrics = Metrics(signals.insight, metric_names=self._metric_names, max_metric_names=self._max_metric_names)
        self._signals, self._metrics = signals, metrics
        metrics.feed("pode_signals_ready", lambda: int(self.is_ready))
        metrics.feed("pode_signals_state", self._states)
        metrics.feed("pode_signals_certificate_expiry_timestamp_seconds", self._expiries)
        metrics.feed("pode_signals_api_refused_total", lambda: dict(self._refused))

    def check(self, operated: Operated) -> Tokens:
        """Find mistakes that would keep the service from starting.

        Raises:
            ConfigurationInvalid: the file of tokens can't be used, or an endpoint would be open without a token.
        """
        tokens = self._read_tokens(operated, again=False)
        if not len(tokens):
            for endpoint in self.endpoints:
                if not _is_local(endpoint):
                    raise ConfigurationInvalid(
                        f"the operations endpoint {endpoint} is neither a UNIX socket nor on loopback:"
                        " give Operations(tokens=…) a file of tokens"
                    )
            if self.operations_on_application:
                raise ConfigurationInvalid("operations_on_application needs a file of tokens: Operations(tokens=…)")
        return tokens

    def start(self, operated: Operated) -> None:
        """The service starts: read the tokens, and look after the health from now on.

        Raises:
            ConfigurationInvalid: as :meth:`check`.
        """
        assert self._signals is not None
        assert self._metrics is not None
        self._guard.tokens = self.check(operated)
        self._operated = operated
        self._say_what_is_open()
        self._health.start(self._signals, operated)
        self._metrics.start(operated.clock)  # type: ignore[arg-type]  # a reactor's time

    def stop(self) -> None:
        """The service has stopped."""
        self._health.stop()
        if self._metrics is not None:
            self._metrics.stop()

    def reload_tokens(self) -> None:
        """Read the file of tokens again. Where it can't be used, that is logged, and the old tokens stay."""
        if self._token_file is None or self._operated is None:
            return
        try:
            self._guard.tokens = tokens = self._read_tokens(self._operated, again=True)
        except ConfigurationInvalid as error:
            self._log.error("the tokens stay as they were: {error}", event="tokens.kept", error=str(error))
        else:
            self._log.info("{count} tokens are valid", event="tokens.loaded", count=len(tokens))

    @property
    def resource(self) -> Tree:
        """The resource of the endpoints of the operations."""
        pages = {**self._health_pages(), _METRICS_PATH: Page(self._render_metrics, "metrics")}
        return self._tree({**pages, **{self._prefix + path: page for path, page in pages.items()}})

    @property
    def resource_on_application(self) -> Tree | None:
        """What goes before the application's own resource on its ports; None where nothing does."""
        health = self._health_pages()
        pages = dict(health) if self.health_on_application else {}
        if self.operations_on_application:
            everything = {**health, _METRICS_PATH: Page(self._render_metrics, "metrics")}
            pages |= {self._prefix + path: page for path, page in everything.items()}
        return self._tree(pages, is_on_application=True) if pages else None

    def _tree(self, pages: Mapping[str, Page], *, is_on_application: bool = False) -> Tree:
        encoded = {path.encode("ascii"): page for path, page in pages.items()}
        return Tree(encoded, self._guard, self._given, self._refused, is_on_application=is_on_application)

    def _given(self) -> Operated:
        assert self._operated is not None
        return self._operated

    def _health_pages(self) -> dict[str, Page]:
        live = Page(_render_live, None)
        return {**dict.fromkeys(_LIVE_PATHS, live), _READY_PATH: Page(self._render_ready, None)}

    def _render_ready(self, request: Request, operator: Operator | None) -> bytes:
        causes = self._health.causes()
        body: dict[str, Any] = {"status": self._health.status(causes)}
        if any(each.blocking for each in causes):
            request.setResponseCode(503)
            request.setHeader(b"Retry-After", b"1")
        if operator is not None and operator.allows("read"):
            body["causes"] = [
                {
                    "code": each.code,
                    "blocking": each.blocking,
                    "since": each.since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "detail": each.detail,
                }
                for each in causes
            ]
        return _json(request, body)

    def _render_metrics(self, request: Request, operator: Operator | None) -> bytes:
        assert self._metrics is not None
        accept = ", ".join(each.decode("latin-1") for each in request.requestHeaders.getRawHeaders(b"accept", ()))
        content_type, body = self._metrics.render(accept)
        request.setHeader(b"Content-Type", content_type.encode("ascii"))
        return body

    def _states(self) -> Mapping[str, int]:
        state = None if self._operated is None else self._operated.state()
        return {each: int(each == state) for each in ("starting", "ready", "draining")}

    def _expiries(self) -> Mapping[str, float]:
        expiries = {} if self._operated is None else self._operated.certificates()
        return {endpoint: expires.timestamp() for endpoint, expires in expiries.items()}

    def _read_tokens(self, operated: Operated, *, again: bool) -> Tokens:
        path = self._token_file
        if path is None:
            return Tokens()
        try:
            return Tokens.read(tomllib.loads(operated.read_text(path, again)))
        # The text of a mistake in TOML may have a part of the file in it, and a token may stand there.
        except tomllib.TOMLDecodeError as error:
            where = re.search(r"\(at .*\)", str(error))
            raise ConfigurationInvalid(f"{path}: it is no TOML {where[0] if where else ''}".rstrip()) from None
        except ConfigurationInvalid as error:
            raise error if str(error).startswith(path) else ConfigurationInvalid(f"{path}: {error}") from None

    def _say_what_is_open(self) -> None:
        path = self._token_file
        if path is not None and os.name == "posix" and stat.S_IMODE(os.stat(path).st_mode) & _OTHERS_RIGHTS:
            self._log.warn(
                "others than its owner can read or write the file of tokens {path}: chmod 600",
                event="tokens.readable",
                path=path,
            )
        for endpoint in self.endpoints:
            if not endpoint.is_secure and not _is_local(endpoint):
                self._log.warn(
                    "tokens come in the clear to the operations endpoint {endpoint}: use https",
                    event="operations.clear",
                    endpoint=str(endpoint),
                )
        if self.health_on_application:
            self._log.info(
                "on the ports of the application {paths} are answered before its own routes",
                event="operations.on_application",
                paths=", ".join((*_LIVE_PATHS, _READY_PATH)),
            )


def _render_live(request: Request, operator: Operator | None) -> bytes:
    return _json(request, {"status": "live"})


def _json(request: Request, body: Mapping[str, Any]) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    return json.dumps(body).encode("ascii") + b"\n"


def _is_local(endpoint: Endpoint) -> bool:
    """Whether nobody but this machine reaches an endpoint, as far as its text tells."""
    if endpoint.listen is None:
        return is_loopback(endpoint.address)
    if not isinstance(endpoint.listen, str):
        return False
    return endpoint.listen.startswith(_UNIX_STRING) or _LOOPBACK_STRING.match(endpoint.listen) is not None
