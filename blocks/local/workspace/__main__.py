"""``python -m blocks.local.workspace``: serve a workspace."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Read the arguments and serve; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m blocks.local.workspace", description="Serve a local Databricks workspace."
    )
    parser.add_argument("--port", type=int, default=0, help="HTTPS port (0: any free one)")
    parser.add_argument("--state-dir", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--http", action="store_true", help="serve plain HTTP too")
    parser.add_argument("--ready-file", type=Path, help="gets the line that is printed when ready")
    # For parents that must leave nothing running even when they are killed.
    parser.add_argument("--stop-on-stdin-eof", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # Not at the top: multiprocessing imports this module again for the notebooks' processes.
    from blocks.local.workspace.server import serve

    return serve(**vars(arguments))


if __name__ == "__main__":
    sys.exit(main())
