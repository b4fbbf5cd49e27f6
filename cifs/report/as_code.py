"""A request to the API as something to run elsewhere. keyed: the server asks for a key, which CIFS_API_KEY holds."""

import json
import shlex
from collections.abc import Mapping
from pprint import pformat
from typing import Any, Protocol

TEXTS = ("/card", "/log")  # ends of paths whose answers are no JSON


class Writer(Protocol):
    def __call__(
        self, base_url: str, path: str, body: Mapping[str, Any] | None, *, method: str = ..., keyed: bool = ...
    ) -> str: ...


def as_curl(
    base_url: str, path: str, body: Mapping[str, Any] | None, *, method: str = "POST", keyed: bool = False
) -> str:
    key = ' -H "Authorization: Bearer $CIFS_API_KEY"' if keyed else ""
    how = "" if method == ("GET" if body is None else "POST") else f" -X {method}"
    line = f"curl {shlex.quote(base_url + path)}{how}{key}"
    if body is None:
        return line
    written = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"{line} -H 'Content-Type: application/json' -d {written}"


def as_python(
    base_url: str, path: str, body: Mapping[str, Any] | None, *, method: str = "POST", keyed: bool = False
) -> str:
    """A script; it ends with the `answer`, parsed where it is JSON."""
    given = {"json": "request"} if body is not None else {}
    given |= {"headers": "key"} if keyed else {}
    options = "".join(f", {name}={value}" for name, value in given.items())
    lines = [
        *(["import os\n"] if keyed else []),
        "import httpx\n",
        *([f"request = {pformat(dict(body), width=100, sort_dicts=False)}"] if body is not None else []),
        *(['key = {"Authorization": f"Bearer {os.environ[\'CIFS_API_KEY\']}"}'] if keyed else []),
        f"reply = httpx.{method.lower()}({base_url + path!r}{options}, timeout=120)",
        f"answer = reply.raise_for_status().{'text' if path.endswith(TEXTS) else 'json()'}",
    ]
    return "\n".join(lines) + "\n"
