"""Who a client is that comes back: its resume token is made and read here, and groups that it left stay left."""

from __future__ import annotations

import secrets

from twisted.internet.defer import Deferred

from ..core.client_versions import ClientVersions
from ..core.model import Scope
from ..core.names import client_id_text
from ..core.request_record import RequestRecord
from ..core.resume import ResumeRequest
from ..core.resume_tokens import NO_TOKEN, Conversion, ResumeIdentity, ResumeTokens, Resumption, resumption
from .clocks import wall_seconds
from .dialogue import ComingBack
from .identities import Identities
from .link import Link
from .node import Node
from .runtime import Runtime
from .shared_versions import SharedVersions

__all__ = ["Resumes"]

_GENERATION_BYTES = 6
_SECRET_BYTES = 32


class Resumes:
    """The resume tokens of one hub.

    Args:
        runtime: the surroundings.
        identities: the client ids, with whose secrets tokens are signed where client ids are.
        node: this node, with whose secret tokens are signed where client ids are not.

    Attributes:
        shared: the versions that all nodes share; None where the node is alone.
    """

    def __init__(self, runtime: Runtime, identities: Identities, node: Node) -> None:
        self._runtime = runtime
        self._identities = identities
        self._node = node.backplane.node
        self._backplane = node.backplane
        self.shared = None if node.is_alone else SharedVersions(runtime, node)
        self._own_secret = secrets.token_bytes(_SECRET_BYTES)
        self._secrets: tuple[bytes, ...] = ()
        self._tokens: ResumeTokens
        kept_seconds = runtime.settings.resume_token_seconds
        self._versions = ClientVersions(lambda: secrets.token_hex(_GENERATION_BYTES), kept_seconds)

    def coming_back(
        self,
        offer: ResumeRequest,
        name: str,
        user: str | None,
        client_id: str | int | None,
        scope: Scope,
        request: RequestRecord,
    ) -> ComingBack:
        """What the offer of a client comes to that comes back.

        Args:
            offer: the offer, not checked.
            name, user, client_id, scope: as ``convert`` gives them.
            request: a record of the client's request.
        """
        given = None if client_id is None else client_id_text(client_id)
        conversion = Conversion(name, user, given, scope)
        found = self._resumption(offer.token, conversion, request)
        if self.shared is None or not found.groups:
            return ComingBack(offer.position, found)
        return ComingBack(offer.position, found._replace(groups=()), claimed=found.groups)

    def hold(self, resumption: Resumption) -> Deferred[bool]:
        """Whether the joined groups of a client come back, where other nodes have to be asked."""
        identity = resumption.identity
        assert self.shared is not None
        assert identity is not None
        return self.shared.hold(identity.name, identity.client_id, identity.generation, identity.version)

    def _resumption(self, token: str | None, conversion: Conversion, request: RequestRecord) -> Resumption:
        if token is None:
            return NO_TOKEN
        identity = self._current_tokens().read(token)
        # What other nodes know is asked later.
        holds = self.shared is not None or (
            identity is not None
            and self._versions.hold(identity.name, identity.client_id, identity.generation, identity.version)
        )
        found = resumption(
            identity,
            conversion,
            is_valid=lambda client_id: self._identities.is_valid_for(client_id, request),
            groups_hold=holds,
            now=self._now(),
        )
        if found.passed_over is not None:
            self._runtime.counters.resume_tokens_refused[found.passed_over.value] += 1
        return found

    def token(self, link: Link) -> str | None:
        """A fresh token for a connection; None for a local WebSocket, and where the token would be too long."""
        dialogue = link.dialogue
        # A stream needs a token for what its client sends, whatever its scope is.
        if dialogue is None or not link.is_signals or not (link.is_global or dialogue.stream):
            return None
        generation, version = self._versions.generation, self._versions.version
        if self.shared is not None:
            generation, version = self.shared.generation, self.shared.version(link.name, link.client_id)
        token = self._current_tokens().make(
            ResumeIdentity(
                expires_at=int(self._now() + self._runtime.settings.resume_token_seconds),
                name=link.name,
                client_id=link.client_id,
                user=None if link.profile is None else link.profile.user,
                joined_groups=tuple(each for each in link.groups if each not in dialogue.granted),
                generation=generation,
                version=version,
                connection="" if dialogue.stream is None else dialogue.stream.id,
                node=self._node,
            )
        )
        if token is None:
            self._runtime.counters.resume_tokens_left_out += 1
        return token

    def holder(self, token: str) -> ResumeIdentity | None:
        """Who has a token; None where nobody was given this token, and where it has expired."""
        identity = self._current_tokens().read(token)
        return None if identity is None or self._now() >= identity.expires_at else identity

    def left(self, link: Link) -> bool:
        """A client has left a group, or was closed for good: no older token brings its groups back.

        Returns:
            Whether no older token of any client brings groups back, so that all clients need fresh ones.
        """
        if self.shared is not None:
            self.shared.left(link.name, link.client_id)
            return False
        return self._versions.left(link.name, link.client_id, self._now())

    def _now(self) -> float:
        return wall_seconds(self._runtime.clock)

    def _current_tokens(self) -> ResumeTokens:
        wanted = self._identities.secrets or (self._backplane.secret or self._own_secret,)
        if wanted != self._secrets:
            self._secrets = wanted
            self._tokens = ResumeTokens(wanted, "")
        return self._tokens
