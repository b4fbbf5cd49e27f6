"""Every shipped model puts out what it did when logits.json was written, before its ReLUs were modules.

The two of width 64 have been replaced since: theirs are of the day they were.
"""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cifs.zoo import Zoo

ZOO = Zoo(Path(__file__).parents[3] / "checkpoints")
LOGITS = json.loads(Path(__file__).with_name("logits.json").read_text())


def waves(shape: tuple[int, ...], n: int = 4) -> Tensor:
    """Images (n, *shape) in [0, 1] that no random generator makes."""
    t = torch.arange(n * torch.Size(shape).numel(), dtype=torch.float64).reshape(n, *shape)
    return (0.5 + 0.5 * torch.sin(t * 0.37 + (t % 97) * 0.011)).float()


@pytest.mark.parametrize("model_id", LOGITS)
def test_a_shipped_model_gives_the_logits_it_always_gave(model_id: str) -> None:
    """Bit for bit on the machine they were recorded on; other processors round otherwise."""
    model = ZOO.load(model_id)
    with torch.no_grad():
        torch.testing.assert_close(model(waves(model.image_shape)), torch.tensor(LOGITS[model_id]), atol=1e-5, rtol=0)
