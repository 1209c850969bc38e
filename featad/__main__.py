"""``python -m featad``: the command line."""

import sys

from featad.cli import main

sys.exit(main())
