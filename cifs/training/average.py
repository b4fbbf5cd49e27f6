"""An exponential moving average of a network's weights, which is often more robust than the last of them.

Izmailov et al. (arXiv 1803.05407) average weights; for adversarial training see Gowal et al., arXiv 2010.03593, 4.3.
"""

from copy import deepcopy

import torch

from cifs.models import CNN


class Average:
    """w̄ ← d·w̄ + (1 − d)·w after every step, of weights and of batch-norm statistics.

    At step t the decay d is min(decay, (1 + t) / (10 + t)): its memory of 1 / (1 − d) steps never is more than about a
    ninth of the steps made, so that a short run does not end with an average of its beginning.
    """

    def __init__(self, model: CNN, decay: float) -> None:
        self.model = deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: CNN, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        state = model.state_dict()
        for name, average in self.model.state_dict().items():
            if average.is_floating_point():
                average.lerp_(state[name], 1 - decay)
            else:  # batch norm's count of batches
                average.copy_(state[name])
