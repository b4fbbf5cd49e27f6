"""Jobs as a worker would have left them, in a real ledger."""

from typing import Any

from backend.jobs.ledger import Ledger


def put(
    ledger: Ledger, kind: str, model: str | None, request: dict[str, Any], state: str, *steps: dict[str, Any]
) -> str:
    """Its id. steps: the metrics of each."""
    job, _ = ledger.submit(kind, model, request)
    if state != "waiting":
        ledger.take(job, 1, "elsewhere")
        for number, metrics in enumerate(steps, start=1):
            told = {"doing": "training", "done": number, "total": len(steps), "metrics": metrics}
            ledger.tell_progress(job, 1, told)
    if state == "cancelling":
        ledger.cancel(job)
    elif state not in ("waiting", "running"):
        ledger.end(job, 1, state, error="no space left" if state == "failed" else None)  # type: ignore[arg-type]
    return job


def put_training(ledger: Ledger, name: str, state: str, *, height: float = 0.5) -> str:
    """Of three steps, each an epoch, with `height` the share of attacked images that stand."""
    steps = [
        {"epoch": float(epoch), "loss": 2.0 / epoch, "accuracy": 0.1 * epoch, "probe layer4.0": 0.09 * epoch,
         "validation_natural": height + 0.1, "validation_robust": height}
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    return put(ledger, "train", name, {"recipe": "cpu/fmnist-mini-vanilla-lesson", "id": name}, state, *steps)
