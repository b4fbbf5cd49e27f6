"""What a page just asked, as something to run elsewhere."""

import json
import shlex
from pprint import pformat

from pydantic import BaseModel


def as_curl(base_url: str, path: str, request: BaseModel) -> str:
    body = json.dumps(_body(request), ensure_ascii=False)
    return f"curl {base_url}{path} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def as_python(base_url: str, path: str, request: BaseModel) -> str:
    body = pformat(_body(request), width=100, sort_dicts=False)
    return (
        f"import httpx\n\nrequest = {body}\n"
        f"answer = httpx.post({base_url + path!r}, json=request, timeout=120).raise_for_status().json()\n"
    )


def _body(request: BaseModel) -> dict[str, object]:
    return request.model_dump(mode="json", exclude_none=True)
