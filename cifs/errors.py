"""Every error of this library, as a tree.

CIFSError
├── UnknownName        a name no registry has; lists the choices
├── InvalidParameter   a value outside what is allowed
├── DataError          a data set that is missing or malformed
└── CheckpointError    a checkpoint that is missing, corrupt or foreign
"""

from collections.abc import Iterable


class CIFSError(Exception):
    """Base of all errors raised on purpose; the message is meant for people."""


class UnknownName(CIFSError):
    def __init__(self, kind: str, name: object, choices: Iterable[str]) -> None:
        self.kind, self.name, self.choices = kind, name, tuple(choices)
        super().__init__(f"unknown {kind} {name!r}; choose from: {', '.join(self.choices) or 'none'}")


class InvalidParameter(CIFSError):
    pass


class DataError(CIFSError):
    pass


class CheckpointError(CIFSError):
    pass
