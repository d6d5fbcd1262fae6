"""`python -m app`."""

import gc

# What is loaded stays: looking for garbage in it every 700 objects, over and over, is a sixth of a start.
gc.set_threshold(10_000)
from app.cli import main  # noqa: E402

gc.freeze()
main()
