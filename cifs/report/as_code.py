"""A request to the API as something to run elsewhere. keyed: the server asks for a key, which CIFS_API_KEY holds."""

import json
import shlex
from collections.abc import Mapping
from pprint import pformat
from typing import Any


def as_curl(base_url: str, path: str, body: Mapping[str, Any], *, keyed: bool = False) -> str:
    key = ' -H "Authorization: Bearer $CIFS_API_KEY"' if keyed else ""
    written = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl {base_url}{path} -H 'Content-Type: application/json'{key} -d {written}"


def as_python(base_url: str, path: str, body: Mapping[str, Any], *, keyed: bool = False) -> str:
    lines = [
        *(["import os\n"] if keyed else []),
        "import httpx\n",
        f"request = {pformat(dict(body), width=100, sort_dicts=False)}",
        *(['key = {"Authorization": f"Bearer {os.environ[\'CIFS_API_KEY\']}"}'] if keyed else []),
        f"reply = httpx.post({base_url + path!r}, json=request, timeout=120{', headers=key' if keyed else ''})",
        "answer = reply.raise_for_status().json()",
    ]
    return "\n".join(lines) + "\n"
