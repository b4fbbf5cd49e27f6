"""The transfer matrix against attacks and predictions one by one."""

import torch

from cifs.attacks import PGD, perturb
from cifs.channels import transfer
from tests.cifs.tiny import images, tiny


def test_each_entry_is_one_models_adversarial_image_shown_to_another() -> None:
    models = {"one": tiny(seed=0), "other": tiny(seed=1), "cifs": tiny("cifs", seed=2)}
    (x, y), attack = images(4), PGD(eps=0.1, steps=3)
    found = transfer(models, x, y, attack)
    assert found.models == ("one", "other", "cifs")
    for s, source in enumerate(models.values()):
        x_adv = perturb(source, x, y, attack)
        with torch.no_grad():
            torch.testing.assert_close(found.natural[s], source(x))
            for t, shown in enumerate(models.values()):
                torch.testing.assert_close(found.adversarial[s, t], shown(x_adv))


def test_only_images_that_were_right_can_be_fooled() -> None:
    models, (x, _) = {"one": tiny(seed=0), "other": tiny(seed=1)}, images(8)
    with torch.no_grad():
        y = models["one"](x).argmax(dim=1)
    found = transfer(models, x, y, PGD(eps=0.3, steps=5))
    shares = found.fooled(y)
    with torch.no_grad():
        right = models["other"](x).argmax(dim=1) == y
    expected = (found.adversarial[0, 1].argmax(dim=1) != y)[right].float().mean()
    torch.testing.assert_close(shares[0, 1], expected, equal_nan=True)
    assert shares[0, 0] == (found.adversarial[0, 0].argmax(dim=1) != y).float().mean()
