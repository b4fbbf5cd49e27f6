"""The lab from a script: a typed client of the backend. Needs httpx and pydantic, no torch."""

from cifs_client.client import Client
from cifs_client.transport import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendMissing,
    BackendRefused,
    BackendSlow,
    BackendUnreachable,
    ClientSettings,
    Form,
    parse,
    problem_message,
    send,
)

__all__ = [
    "BackendBroken",
    "BackendBusy",
    "BackendError",
    "BackendMissing",
    "BackendRefused",
    "BackendSlow",
    "BackendUnreachable",
    "Client",
    "ClientSettings",
    "Form",
    "parse",
    "problem_message",
    "send",
]
