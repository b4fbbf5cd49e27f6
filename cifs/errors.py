"""Every error of this library, as a tree.

CIFSError
├── UnknownName        a name no registry has; says the nearest and lists the choices
├── InvalidParameter   a value outside what is allowed
├── DataError          a data set that is missing or malformed
├── CheckpointError    a checkpoint that is missing, corrupt or foreign
├── InUse              a folder another process is working in
└── NoSpace            a file that did not fit on its disk
"""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches


class CIFSError(Exception):
    """Base of all errors raised on purpose; the message is meant for people."""


class UnknownName(CIFSError):
    def __init__(self, kind: str, name: object, choices: Iterable[str]) -> None:
        self.kind, self.name, self.choices = kind, name, tuple(choices)
        super().__init__(f"unknown {kind} {name!r}; {_advice(name, self.choices)}")


class InvalidParameter(CIFSError):
    pass


class DataError(CIFSError):
    pass


class CheckpointError(CIFSError):
    pass


class InUse(CIFSError):
    pass


class NoSpace(CIFSError):
    pass


MOST_CHOICES = 12  # names a message lists


def _advice(name: object, choices: tuple[str, ...]) -> str:
    """The nearest names, and all choices; of many those nearest or, where none is near, those most like the name."""
    text = name.lower() if isinstance(name, str) else ""
    plain = {choice.lower(): choice for choice in choices}
    nearest = " or ".join(repr(plain[match]) for match in get_close_matches(text, plain))
    if len(choices) <= MOST_CHOICES:
        hint = f"did you mean {nearest}? " if nearest else ""
        return f"{hint}choose from: {', '.join(choices) or 'none'}"
    if nearest:
        return f"did you mean {nearest}? ({len(choices)} names in all)"
    alike = sorted(choices, key=lambda choice: -SequenceMatcher(None, text, choice.lower()).ratio())
    return f"choose from {len(choices)} names, among them: {', '.join(alike[:MOST_CHOICES])}"
