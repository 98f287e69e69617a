"""Names that keep runs apart from each other."""

from __future__ import annotations

import re
from uuid import UUID

from slugify import slugify


def slug(text: str) -> str:
    """Turn any text into a name for files, keys and artifacts: ``[a-z0-9-]``, 1 to 60 characters.

    Different texts may give the same slug; what must not collide also carries a run key.
    """
    return slugify(text, max_length=60) or "unnamed"


def run_key(flow_run_id: UUID) -> str:
    """Return the name under which a flow run keeps its tables and objects: 32 hex digits.

    A retry of the flow run has the same id, so it finds what it left.
    """
    return flow_run_id.hex


def is_run_key(text: str) -> bool:
    """Say whether a text is what :func:`run_key` makes."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def flow_run_id(key: str) -> UUID:
    """Return the flow run that a run key was made from."""
    return UUID(hex=key)
