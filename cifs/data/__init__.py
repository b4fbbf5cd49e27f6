"""Data sets and augmentations."""

from cifs.data.augment import random_crop, random_flip
from cifs.data.datasets import (
    DATASETS,
    Dataset,
    available,
    data_dir,
    dataset,
    dataset_names,
    load_images,
)
from cifs.data.images import SPLITS, Images, Split, from_arrays, png

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
    "png",
    "random_crop",
    "random_flip",
]
