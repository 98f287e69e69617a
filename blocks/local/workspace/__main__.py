"""``python -m blocks.local.workspace``: serve a workspace."""

from __future__ import annotations

import argparse
import sys

from blocks.local.workspace.arguments import add_arguments, serve_with


def main() -> int:
    """Read the arguments and serve; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m blocks.local.workspace", description="Serve a local Databricks workspace."
    )
    add_arguments(parser)
    return serve_with(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
