"""The head of a request as it came, and facts that follow from it. It decides nothing, and no connection keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from .addresses import TrustedProxies
from .origin import forwarded_host
from .request_record import RequestRecord, header_text, header_value_text
from .routes import HttpRoute
from .signing import Caller

__all__ = ["RequestHead"]


@frozen(repr=False)
class RequestHead:
    """The head of one request, read once. All decisions about a request use this value.

    It is larger than the :class:`~.request_record.RequestRecord` that a connection keeps. And it is made before an HTTP
    router has chosen a route; the record has the path of that route.

    Attributes:
        method: the method.
        target: the target of the request, with its query.
        version: the version, ``b"HTTP/1.1"``.
        headers: the lines of each header, by its name in lower case.
        address: the client's address: the socket's, or the one that trusted proxies report; ``""`` where the client has
            none.
        is_secure: whether the request came over TLS.
        is_from_trusted_proxy: whether the other end of the request's socket is one of ``trusted_proxies``.
        forwarded_host: the Host for which trusted proxies have received the request; None where they name none.
        has_own_address: whether this server's end of the socket has an address; an end of a UNIX socket has none.
        request_id: the id by which lines of the log belong together; None where the server gives none.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: Mapping[bytes, Sequence[bytes]]
    address: str
    is_secure: bool
    is_from_trusted_proxy: bool
    forwarded_host: str | None
    has_own_address: bool
    request_id: str | None = None

    @classmethod
    def read(
        cls,
        method: bytes,
        target: bytes,
        version: bytes,
        headers: Mapping[bytes, Sequence[bytes]],
        *,
        peer: str,
        proxies: TrustedProxies,
        is_secure: bool = False,
        has_own_address: bool = True,
        request_id: str | None = None,
    ) -> RequestHead:
        """Make a head from the parts of a request and from the other end of its socket.

        Args:
            method: the method.
            target: the target.
            version: the version.
            headers: the lines of each header, by its name in lower case.
            peer: the other end of the socket: an address, :data:`~.addresses.UNIX_PEER`, or ``""`` for neither.
            proxies: the proxies whose X-Forwarded-* headers count.
            is_secure: whether the request came over TLS.
            has_own_address: whether this server's end of the socket has an address.
            request_id: the id of the request.
        """
        addresses = _latin1(headers, b"x-forwarded-for")
        return cls(
            method,
            target,
            version,
            headers,
            address=proxies.client_address(peer, addresses),
            is_secure=is_secure,
            is_from_trusted_proxy=proxies.trusts(peer),
            forwarded_host=_forwarded_host(_latin1(headers, b"x-forwarded-host"), peer, addresses, proxies),
            has_own_address=has_own_address,
            request_id=request_id,
        )

    def __repr__(self) -> str:
        # Without the query and the headers, which may hold tokens.
        path = header_text(self.path)
        return f"<RequestHead {header_text(self.method)} {path!r} from {self.address or '?'}>"

    @property
    def path(self) -> bytes:
        """The target without its query, which may hold a token."""
        return self.target.partition(b"?")[0]

    @property
    def host(self) -> str | None:
        """The Host header; None where there is none."""
        hosts = self.lines(b"host")
        return header_text(hosts[-1]) if hosts else None

    @property
    def caller(self) -> Caller:
        """The caller that a client id is bound to in strict mode.

        Its texts are those that the record of the request has, so that an id that was signed before the request became
        a connection is valid afterwards.
        """
        user_agent = ", ".join(map(header_value_text, self.lines(b"user-agent")))
        return Caller(user_agent=user_agent, address=self.address)

    def lines(self, name: bytes) -> Sequence[bytes]:
        """The lines of a header, whose name is given in lower case; none where the request does not have it."""
        return self.headers.get(name, ())

    def first(self, name: bytes) -> bytes | None:
        """The first line of a header, whose name is given in lower case; None where the request does not have it."""
        lines = self.headers.get(name)
        return lines[0] if lines else None

    def record(self, path: str | None = None, http_route: HttpRoute | None = None) -> RequestRecord:
        """What a connection keeps of the request.

        Args:
            path: the path that the HTTP side chose a route by; None where no route was chosen.
            http_route: the route of an HTTP router; None where there was no router.
        """
        lines = [(name, value) for name, values in self.headers.items() for value in values]
        return RequestRecord(self.method, self.target, lines, self.address, self.is_secure, path, http_route)


def _forwarded_host(hosts: list[str], peer: str, addresses: list[str], proxies: TrustedProxies) -> str | None:
    hops = proxies.hops(peer, addresses) if hosts else 0
    if not hops:
        return None
    # The proxy at the other end of the socket is a hop that X-Forwarded-For does not name.
    return forwarded_host(hosts, hops - 1 if addresses else None)


def _latin1(headers: Mapping[bytes, Sequence[bytes]], name: bytes) -> list[str]:
    return [line.decode("latin-1") for line in headers.get(name, ())]
