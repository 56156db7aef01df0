"""``python -m spectok``."""

import sys

from spectok._cli import main

sys.exit(main())
