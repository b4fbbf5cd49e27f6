"""What each claim has to clear, by its key: where one does not, `make bench` fails."""

from benchmarks.claim import Bar

SAME = Bar("±", 0.2)  # points of accuracy

BARS = {
    "attacks/cifar10-resnet18-w16-vanilla/torchattacks": Bar("≥", 2.5),
    "attacks/cifar10-resnet18-w16-vanilla/foolbox": Bar("≥", 3),
    "attacks/cifar10-resnet18-w16-vanilla/same": SAME,
    "attacks/fmnist-resnet10-w16-vanilla/torchattacks": Bar("≥", 1.8),
    "attacks/fmnist-resnet10-w16-vanilla/foolbox": Bar("≥", 2),
    "attacks/fmnist-resnet10-w16-vanilla/same": SAME,
    "attacks/cifar10-resnet18-w64-vanilla/torchattacks": Bar("≥", 2.2),
    "attacks/cifar10-resnet18-w64-vanilla/foolbox": Bar("≥", 2.5),
    "attacks/cifar10-resnet18-w64-vanilla/same": Bar("±", 3.2),  # one image of 32
    "gradients/folded": Bar("≥", 1.05),
    "gradients/bf16": Bar("≥", 1.6),
    "gradients/bf16 folded": Bar("≥", 1.8),
    "cifs/forward resnet10 w16": Bar("≤", 1.08),
    "cifs/forward resnet18 w64": Bar("≤", 1.03),
    "cifs/training step": Bar("≤", 1.15),
    "training/w16": Bar("≥", 2.5),
    "training/w64": Bar("≥", 2.5),
    "channels/passes": Bar("≤", 3),
    "serving/attack": Bar("≤", 20),
    "serving/slider": Bar("≤", 50),
    "serving/passes": Bar("≤", 1),
    "memory/evaluation": Bar("≤", 0.1),
    "memory/statistics": Bar("≤", 0.1),
    "memory/verdict": Bar("≤", 2),
    "verdict/time": Bar("≥", 10),
    "verdict/same": Bar("±", 2),  # of 100 images: two
    # seconds
    "laboratory/margin": Bar("≤", 0.3),
    "laboratory/integral": Bar("≤", 1),
    "laboratory/circuit": Bar("≤", 2),
    "laboratory/circuit of all": Bar("≤", 2),
    "laboratory/edited": Bar("≤", 2.5),
    "laboratory/film": Bar("≤", 2.5),
    "laboratory/response": Bar("≤", 2.5),
    "laboratory/faithfulness": Bar("≤", 2.5),
    "laboratory/survey": Bar("≤", 5),
    "laboratory/models": Bar("≤", 2.5),
    "laboratory/exemplars": Bar("≤", 300),
    "laboratory/exemplars attacked": Bar("≤", 300),
    # milliseconds, from a click to a settled page that was shown before
    "pages/slowest": Bar("≤", 300),
    "laboratory/restored": Bar("≥", 90),  # %
}
