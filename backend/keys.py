"""Who may do what, where the operator gives out keys: `CIFS_API_KEYS='{"<key>": "read", …}'`. Without, everybody may.

read    GET: models, data, measurements, jobs
use     and POST what is computed: attacks, channels, the laboratory
admin   and everything else: jobs, uploads, deletions
"""

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Literal, NamedTuple, get_args

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.errors import ProblemResponse

Right = Literal["read", "use", "admin"]
RIGHTS: tuple[Right, ...] = get_args(Right)  # each may do what those before it may
OPEN = ("/health", "/ready")  # for whoever watches over the server
COMPUTED = ("attack", "channels", "recipes")  # the first part of paths that are posted to and change nothing
READING = ("GET", "HEAD", "OPTIONS")


class Key(NamedTuple):
    """A key that was sent and is known; what it is stays unsaid."""

    digest: str
    right: Right


class Keyed:
    """ASGI middleware: 401 without a key that is known, 403 with one that may not do this."""

    def __init__(self, app: ASGIApp, keys: Mapping[str, Right]) -> None:
        self.app = app
        self._keys = [Key(_digest(key), right) for key, right in keys.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            return await self.app(scope, receive, send)
        key, needed = self._key(Headers(scope=scope).get("authorization", "")), needed_for(scope)
        if key is None:
            detail, headers = "send Authorization: Bearer <key>, a key of this server", {"WWW-Authenticate": "Bearer"}
            return await ProblemResponse(Request(scope), 401, detail, headers=headers)(scope, receive, send)
        if RIGHTS.index(key.right) < RIGHTS.index(needed):
            detail = f"this key may {key.right!r}; {scope['method']} {scope['path']} needs one that may {needed!r}"
            return await ProblemResponse(Request(scope), 403, detail)(scope, receive, send)
        scope["key"] = key  # for whom the queue and the quotas are
        await self.app(scope, receive, send)

    def _key(self, authorization: str) -> Key | None:
        """The key that was sent. It is compared with every one, in the same time whichever it is."""
        scheme, _, sent = authorization.partition(" ")
        given = _digest(sent.strip())
        equal = [key for key in self._keys if compare_digest(key.digest, given)]
        return equal[0] if equal and scheme.lower() == "bearer" else None


def needed_for(scope: Scope) -> Right:
    if scope["method"] in READING:
        return "read"
    computed = scope["method"] == "POST" and scope["path"].split("/")[1] in COMPUTED
    return "use" if computed else "admin"


def _digest(key: str) -> str:
    return sha256(key.encode(errors="surrogateescape")).hexdigest()
