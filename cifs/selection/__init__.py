"""Feature selection: probes, relevance, importance map generating functions, CIFS and CAS."""

from cifs.selection.cas import CAS
from cifs.selection.cifs import CIFS, top_k
from cifs.selection.controls import is_control
from cifs.selection.damped import Damped
from cifs.selection.imgf import IMGF, IMGFS
from cifs.selection.layer import Selection, SelectionLayer, Trace, attached_importance, mask_matters
from cifs.selection.probe import PROBES, LinearProbe, MLPProbe, Probe, autograd_relevance, pool

__all__ = [
    "CAS",
    "CIFS",
    "IMGF",
    "IMGFS",
    "PROBES",
    "Damped",
    "LinearProbe",
    "MLPProbe",
    "Probe",
    "Selection",
    "SelectionLayer",
    "Trace",
    "attached_importance",
    "autograd_relevance",
    "is_control",
    "mask_matters",
    "pool",
    "top_k",
]
