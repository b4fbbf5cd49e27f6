"""The verdict: attacks made to be as strong together as AutoAttack in minutes, with indicators and a proof."""

from cifs.verdict.indicators import INDICATORS, Count, Indicator
from cifs.verdict.proof import Proof, verify
from cifs.verdict.stages import STAGES, Stage, stages_for
from cifs.verdict.trial import MISTAKEN, STANDS, Trial
from cifs.verdict.verdict import VERSION, Hearing, Verdict, digest_of, verdict

__all__ = [
    "INDICATORS",
    "MISTAKEN",
    "STAGES",
    "STANDS",
    "VERSION",
    "Count",
    "Hearing",
    "Indicator",
    "Proof",
    "Stage",
    "Trial",
    "Verdict",
    "digest_of",
    "stages_for",
    "verdict",
    "verify",
]
