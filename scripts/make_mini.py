"""Makes cifs/data/fashion_mnist_mini.npz: the first images of either split of Fashion-MNIST, in order."""

from pathlib import Path

import numpy as np

from cifs.data import SPLITS, load_images

N = 2000

if __name__ == "__main__":
    arrays = {}
    for split in SPLITS:
        part = load_images("fashion_mnist", split)[:N]
        arrays[f"{split}_images"] = part.images[:, 0].numpy()
        arrays[f"{split}_labels"] = part.labels.numpy().astype(np.uint8)
    path = Path(__file__).parent.parent / "cifs" / "data" / "fashion_mnist_mini.npz"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
