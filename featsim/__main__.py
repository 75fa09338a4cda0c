"""``python -m featsim`` is the command ``featsim``."""

import sys

from featsim.cli import main

if __name__ == "__main__":
    sys.exit(main())
