"""What every test shares."""

from hypothesis import settings

# No deadline: the machine may be busy. The same examples every time: a red test is red for everyone.
settings.register_profile("lab", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lab")
