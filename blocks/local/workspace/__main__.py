"""``python -m blocks.local.workspace``: serve a workspace."""

from __future__ import annotations

import sys

from blocks.local.workspace.arguments import parse_arguments, serve_with

if __name__ == "__main__":
    sys.exit(serve_with(parse_arguments()))
