"""Python imports this at its start in whatever a test starts; see `tests/write_guard.py`."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parent.parent / "write_guard.py"))["guard"]().active = True
