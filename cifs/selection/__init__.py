"""Feature selection: probes, relevance, importance map generating functions, CIFS and CAS."""

from cifs.selection.cas import CAS
from cifs.selection.cifs import CIFS, Selection, attached_importance, top_k
from cifs.selection.controls import is_control
from cifs.selection.imgf import IMGF, IMGFS
from cifs.selection.probe import PROBES, LinearProbe, MLPProbe, Probe, autograd_relevance, pool

__all__ = [
    "CAS",
    "CIFS",
    "IMGF",
    "IMGFS",
    "PROBES",
    "LinearProbe",
    "MLPProbe",
    "Probe",
    "Selection",
    "attached_importance",
    "autograd_relevance",
    "is_control",
    "pool",
    "top_k",
]
