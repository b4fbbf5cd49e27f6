"""`verdict`: an ensemble made to be as strong as AutoAttack on a model's test images, with a proof beside it."""

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from cifs.data import Images, dataset, load_images
from cifs.errors import InvalidParameter
from cifs.evaluation.merge import merge_verdict, obstacle
from cifs.files import write_json
from cifs.models import CNN
from cifs.precision import Precision
from cifs.progress import Report
from cifs.records import Evaluation, ProofCheck
from cifs.registry import settings
from cifs.report.card import write_card
from cifs.tasks.base import TASKS, Prepared, Workspace, evaluated, exclusively
from cifs.verdict import Hearing, Proof, digest_of, verify
from cifs.zoo import Entry


@TASKS.register("verdict")
@settings
class ReachVerdict:
    """The verdict: minutes instead of AutoAttack's hours, with signs of whether to trust it, and a proof."""

    model: str = Field(description="id in the zoo")
    n: int | None = Field(default=None, ge=1, description="first n images; default: all")
    precision: Precision = Field(default="bf16", description="of the gradients; success is confirmed in float32")

    def prepare(self, workspace: Workspace) -> Prepared:
        entry = workspace.zoo.entry(self.model)
        table = evaluated(entry)
        images = load_images(entry.info.dataset, "test")
        images = images[: self.n or len(images)]
        eps = dataset(entry.info.dataset).eps
        if not table.same_subject(table.with_(**subject_of(entry), norm="linf", eps=eps)):
            raise InvalidParameter(f"{entry.evaluation_path} is of other weights or ε; evaluate the table first")
        model = workspace.load(entry, entry.info.dataset)
        there = obstacle(table, "verdict", len(images))
        proof = proof_path(workspace, entry, len(images))
        notes = [f"the proof will be {proof}"]
        if there:
            notes.append(f"{entry.evaluation_path} has {there}; what is measured now is not saved there")
        run = partial(self._run, workspace, entry, table, model, images, there is None)
        saves = None if there else entry.evaluation_path
        return exclusively(workspace, Prepared(run, tuple(notes), True, saves, divides=True), self.model, "verdict")

    def _run(
        self,
        workspace: Workspace,
        entry: Entry,
        table: Evaluation,
        model: CNN,
        images: Images,
        saved: bool,
        report: Report,
    ) -> Evaluation:
        proof = proof_path(workspace, entry, len(images))
        shared, about = workspace.shards is not None, subject_of(entry)
        folder = workspace.shards / "verdict" if workspace.shards else proof.with_suffix(".batches")
        hearing = Hearing(
            model, images, table.eps, folder, about, precision=self.precision, report=report, shared=shared
        )
        cell = hearing.run().measurement(model.num_classes)
        result = merge_verdict(evaluated(entry), table, cell)
        if saved:
            write_json(entry.evaluation_path, result.as_json())
            write_card(entry)
        hearing.prove(proof)
        return result


def verified(workspace: Workspace, model_id: str, proof: Path) -> ProofCheck:
    """A proof held against the weights and the images that are here. Raises CIFSError where they cannot be read."""
    entry = workspace.zoo.entry(model_id)
    images, model = load_images(entry.info.dataset, "test"), workspace.load(entry, entry.info.dataset)
    about = {**subject_of(entry), "images": digest_of(images[: Proof(proof).n]), "eps": dataset(entry.info.dataset).eps}
    return verify(model, images, proof, about)


def proof_path(workspace: Workspace, entry: Entry, n: int) -> Path:
    return workspace.runs / "verdict" / f"{entry.id}-{n}.npz"


def subject_of(entry: Entry) -> dict[str, Any]:
    return {"model": entry.id, "dataset": entry.info.dataset, "split": "test", **entry.digests()}
