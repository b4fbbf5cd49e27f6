"""Methods of training for robustness. A new one is one file here: its layer, options, loss and words."""

from cifs.methods.cas import CASMethod
from cifs.methods.cifs import CIFSMethod
from cifs.methods.damped import DampedMethod
from cifs.methods.fsr import FSRMethod
from cifs.methods.method import METHODS, PLAIN, Method, Natural, Vanilla, options_of, selecting

__all__ = [
    "METHODS",
    "PLAIN",
    "CASMethod",
    "CIFSMethod",
    "DampedMethod",
    "FSRMethod",
    "Method",
    "Natural",
    "Vanilla",
    "options_of",
    "selecting",
]
