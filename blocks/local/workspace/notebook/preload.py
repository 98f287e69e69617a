"""All that a notebook's process imports, loaded once and then forked for each notebook.

Modules only: a gRPC channel that is open during a fork does not work afterwards, so a session
begins in the notebook's own process.
"""

import importlib
import sys

# pyspark takes a `__main__` without a file, as that of a multiprocessing child is, for its own
# doctests and ends the process (pyspark/sql/connect/utils.py, check_dependencies).
sys.modules["__main__"].__dict__.setdefault("__file__", __file__)

for module in ("kernel", "session"):
    importlib.import_module(f"blocks.local.workspace.notebook.{module}")
