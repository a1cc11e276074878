"""What all tests share."""

import os

# As the commands do (see `utils.run`): tests run side by side, and spinning threads would starve one another.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
