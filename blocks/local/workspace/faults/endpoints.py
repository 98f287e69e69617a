"""How faults and tests name endpoints."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

# Of the side API, which faults and journal leave alone.
LOCAL_PREFIX = "/local/"


def matches(pattern: str, method: str, path: str) -> bool:
    """Return whether a request is for an endpoint.

    Args:
        pattern: A method and a path below ``/api/<version>/``: ``GET jobs/runs/get``. ``*`` stands
            for any method, and for any part of the path, slashes too: ``POST jobs/*``, ``* *``.
        method: Of the request.
        path: Of the request.
    """
    found = re.match(r"/api/\d\.\d/(.+)", path)
    return found is not None and fnmatchcase(f"{method} {found[1]}", pattern)
