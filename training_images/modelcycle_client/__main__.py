from __future__ import annotations

import sys

from modelcycle_client.cli import main

sys.exit(main())
