"""CAS: channel-wise activation suppressing, arXiv 2103.08307. In CIFS's terms: k = 1, a linear probe, no IMGF.

The importance is the probe's weight row itself, of the label while training, of the probe's prediction at test time; it
can be negative.
"""

from torch import Tensor

from cifs.selection.cifs import CIFS
from cifs.selection.probe import LinearProbe


def weight_row(g: Tensor) -> Tensor:
    """The identity in the place of an IMGF."""
    return g


class CAS(CIFS):
    def __init__(self, probe: LinearProbe) -> None:
        super().__init__(probe, weight_row, k=1, label_in_training=True)
