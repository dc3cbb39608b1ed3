from __future__ import annotations

import sys

from modelcycle.cli import main

sys.exit(main())
