"""Data sets and augmentations."""

from cifs.data.augment import random_crop, random_flip
from cifs.data.datasets import (
    DATASETS,
    SPLITS,
    Dataset,
    Images,
    Split,
    available,
    data_dir,
    dataset,
    dataset_names,
    from_arrays,
    load_images,
)

__all__ = [
    "DATASETS",
    "SPLITS",
    "Dataset",
    "Images",
    "Split",
    "available",
    "data_dir",
    "dataset",
    "dataset_names",
    "from_arrays",
    "load_images",
    "random_crop",
    "random_flip",
]
