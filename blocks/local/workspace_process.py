"""The local Databricks workspace as a process of the embedded stack."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blocks.local.children import Children, environment_without

NAME = "Databricks workspace"


@dataclass(frozen=True)
class Workspace:
    """What a client of the workspace needs.

    Attributes:
        url: ``https://localhost:PORT``.
        token: Its bearer token.
        ca_file: Certificate of the authority that signed its certificate.
    """

    url: str
    token: str = field(repr=False)
    ca_file: str


def start(
    children: Children, folder: Path, log: Path, *, object_store: Mapping[str, str]
) -> Workspace:
    """Start the workspace and return it when it answers.

    Args:
        children: What is to end with this process.
        folder: Its state; made when missing.
        log: The server's log.
        object_store: The ``AWS_*`` variables of the store that its Spark clusters work on.

    Raises:
        StackError: It does not start.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ready_file = folder / "ready.json"
    ready_file.unlink(missing_ok=True)
    server = children.start(
        NAME,
        [
            *(sys.executable, "-m", "blocks.local.workspace"),
            *("--state-dir", str(folder), "--ready-file", str(ready_file), "--stop-on-stdin-eof"),
            "--faults",
        ],
        log=log,
        folder=folder,
        environment=environment_without("AWS_") | dict(object_store),
    )
    server.wait_until(ready_file.exists)
    ready = json.loads(ready_file.read_text())
    return Workspace(ready["url"], ready["token"], ready["ca_file"])
