"""CAS, arXiv 2103.08307."""

from collections.abc import Mapping
from typing import Any, ClassVar

from cifs.methods.method import METHODS, Method
from cifs.registry import settings
from cifs.selection import CAS, LinearProbe


@METHODS.register("cas")
@settings
class CASMethod(Method):
    """Adversarial training with channel-wise activation suppressing."""

    title: ClassVar[str] = "CAS"
    sentence: ClassVar[str] = "adversarially trained with channel-wise activation suppressing (CAS, arXiv 2103.08307)"
    selects: ClassVar[bool] = True

    def layer(self, channels: int, num_classes: int, site: Mapping[str, Any]) -> CAS:
        """Its mask is a weight row, so its probe is linear wherever it sits."""
        return CAS(LinearProbe(channels, num_classes))
