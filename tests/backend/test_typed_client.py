"""The typed client knows the whole API."""

import inspect
import re

from fastapi.testclient import TestClient

from cifs_client import client as module

CALL = re.compile(r'(_get|_post|exchange|send|lines|URL)\(\s*(?:self\.settings,\s*)?(?:"([A-Z]+)",\s*)?f?"(/[^"]*)"')
METHODS = {"_get": "GET", "_post": "POST", "lines": "GET", "URL": "GET"}
NOT_FOR_SCRIPTS = {("GET", "/metrics")}


def normal(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.partition("?")[0])


def test_every_operation_of_the_api_is_a_method_of_the_client(client: TestClient) -> None:
    calls = CALL.findall(inspect.getsource(module))
    known = {(method or METHODS[function], normal(path)) for function, method, path in calls}
    paths = client.get("/openapi.json").json()["paths"]
    served = {(method.upper(), normal(path)) for path, item in paths.items() for method in item}
    assert known == served - NOT_FOR_SCRIPTS
