"""What all tests share."""

import os

import hypothesis

# As the commands do (see `utils.run`): tests run side by side, and spinning threads would starve one another.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says something about the machine, and nothing about the code.
hypothesis.settings.register_profile("evergreen", deadline=None)
hypothesis.settings.load_profile("evergreen")
