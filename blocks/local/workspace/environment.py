"""Environment variables of a cluster, which may refer to secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from blocks.local.workspace.store.secrets import Secrets

_SECRET = re.compile(r"\{\{\s*secrets/([^/{}\s]+)/([^/{}\s]+)\s*\}\}")


def with_secrets(variables: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
    """Return ``spark_env_vars`` with secrets in the place of ``{{secrets/scope/key}}``.

    Raises:
        LookupError: A secret does not exist.
    """

    def value(match: re.Match[str]) -> str:
        try:
            return secrets.get(match[1], match[2]).decode(errors="replace")
        except KeyError:
            raise LookupError(
                f"Secret does not exist with scope: {match[1]} and key: {match[2]}"
            ) from None

    return {name: _SECRET.sub(value, str(text)) for name, text in variables.items()}
