"""What every test shares."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

# No deadline: the machine may be busy. The same examples every time: a red test is red for everyone.
settings.register_profile("lab", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lab")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
