"""The command line of the workspace, for ``python -m`` and for ``renewables workspace``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser, state_dir: Path | None = None) -> None:
    """Add the options of ``server.serve`` to a parser.

    Args:
        parser: Its other options, if any, are not passed on by :func:`serve_with`.
        state_dir: Default for ``--state-dir``; without one it has to be given.
    """
    parser.add_argument("--port", type=int, default=0, help="HTTPS port (default: any free one)")
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=state_dir,
        required=state_dir is None,
        help="where everything is kept" + (" (default: %(default)s)" if state_dir else ""),
    )
    parser.add_argument(
        "--http", action="store_true", help="answer plain HTTP on a second port, too"
    )
    parser.add_argument(
        "--faults",
        action="store_true",
        help="let whoever has the token ask for faults at /local/faults, and keep a journal",
    )
    parser.add_argument(
        "--cluster-start-seconds",
        type=float,
        default=0,
        metavar="SECONDS",
        help="how long a new cluster takes at least (default: 0)",
    )
    parser.add_argument(
        "--allow-shell", action="store_true", help="run the %%sh cells of notebooks on this machine"
    )
    parser.add_argument(
        "--install-libraries",
        action="store_true",
        help="install the libraries of clusters and environments, and what %%pip asks for,"
        " in folders of their own",
    )
    parser.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="behave otherwise where the cloud's behaviour is not known (repeatable)",
    )
    parser.add_argument(
        "--ready-file", type=Path, metavar="PATH", help="gets the line that is printed when ready"
    )
    # For parents that must leave nothing running even when they are killed.
    parser.add_argument("--stop-on-stdin-eof", action="store_true", help=argparse.SUPPRESS)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of ``python -m blocks.local.workspace``.

    Args:
        arguments: The command line; that of this process by default.
    """
    parser = argparse.ArgumentParser(
        prog="python -m blocks.local.workspace", description="Serve a local Databricks workspace."
    )
    add_arguments(parser)
    return parser.parse_args(arguments)


def serve_with(options: argparse.Namespace) -> int:
    """Serve a workspace as the options say; return the exit status."""
    # Not at the top: multiprocessing imports the main module again for the notebooks' processes.
    from blocks.local.workspace.options import Options
    from blocks.local.workspace.server import serve
    from blocks.local.workspace.switches import parse_switches

    try:
        switches = parse_switches(options.switch)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return serve(
        port=options.port,
        state_dir=options.state_dir,
        http=options.http,
        faults=options.faults,
        options=Options(
            cluster_start_seconds=options.cluster_start_seconds,
            shell_allowed=options.allow_shell,
            libraries_installed=options.install_libraries,
        ),
        switches=switches,
        ready_file=options.ready_file,
        stop_on_stdin_eof=options.stop_on_stdin_eof,
    )
