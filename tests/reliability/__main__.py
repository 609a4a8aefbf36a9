"""`make soak`: see soak.py. A file of its own, since every process that is started runs the main file again."""

from __future__ import annotations

import sys

from tests.reliability.soak import main

if __name__ == "__main__":
    sys.exit(main())
