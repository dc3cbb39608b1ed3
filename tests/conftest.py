from __future__ import annotations

from hypothesis import settings

# No timed tests: how long an example takes says something of the machine only.
settings.register_profile("modelcycle", deadline=None)
settings.load_profile("modelcycle")
