"""What a run says of itself: a line of metrics.jsonl for every step and, where it is asked for, TensorBoard events."""

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifs.errors import InvalidParameter
from cifs.files import append_line, replacing


@dataclass
class Log:
    folder: Path
    tensorboard: bool = False
    _events: Any = field(default=None, init=False)  # torch's SummaryWriter, while training

    def __post_init__(self) -> None:
        if self.tensorboard:
            _writer_class()  # so that a missing package is an error now

    @property
    def path(self) -> Path:
        return self.folder / "metrics.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """Of every whole line; a killed process may leave half of one."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def forget_steps_after(self, step: int) -> None:
        """Steps that were logged but not saved will be made, and logged, again."""
        if not self.path.exists():
            return
        with replacing(self.path) as temporary:
            lines = (json.dumps(line) for line in self.lines() if line["step"] <= step)
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    @contextmanager
    def open(self) -> Iterator[None]:
        """Inside it events are written, anew and first those of metrics.jsonl: so none is written twice."""
        if not self.tensorboard:
            yield
            return
        for older in (self.folder / "tensorboard").glob("events.out.tfevents.*"):
            older.unlink()
        self._events = _writer_class()(str(self.folder / "tensorboard"))
        try:
            for line in self.lines():
                self._add_events(line)
            yield
        finally:
            self._events.close()
            self._events = None

    def add(self, line: Mapping[str, float]) -> None:
        """{"step", "epoch", metrics}"""
        append_line(self.path, json.dumps(line))
        if self._events is not None:
            self._add_events(line)

    def _add_events(self, line: Mapping[str, float]) -> None:
        """training/loss, validation/natural, …"""
        for name, value in line.items():
            group, _, rest = name.partition("_")
            if name not in ("step", "epoch"):
                tag = f"validation/{rest}" if group == "validation" else f"training/{name}"
                self._events.add_scalar(tag, value, line["step"])


def _writer_class() -> Any:
    try:
        return importlib.import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError as error:
        raise InvalidParameter(f"TensorBoard events need another package ({error}): pip install tensorboard") from error
