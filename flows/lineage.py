"""What a run reads and makes, as Prefect assets: their keys and names. All pure.

Prefect Cloud shows assets and how they follow from each other; an open-source server keeps their
events, which automations can act on.
"""

from __future__ import annotations

import re
from pathlib import Path

from prefect.assets import Asset, AssetProperties
from prefect.types.names import MAX_ASSET_KEY_LENGTH, RESTRICTED_ASSET_CHARACTERS
from sqlalchemy import URL

from flows.download import source_label
from flows.naming import slug
from flows.result import RENEWABLE_SHARE


def asset_key(uri: str) -> str:
    """Return a URI as a key that Prefect accepts: without blanks, ``%`` and the like, not too long.

    Args:
        uri: Where the data is; its scheme is lower case.
    """
    allowed = "".join("_" if each in RESTRICTED_ASSET_CHARACTERS else each for each in uri)
    return allowed[:MAX_ASSET_KEY_LENGTH]


def source_asset(source: str) -> Asset:
    """Return the asset of a source: a path or an http(s) URL, which is shown without secrets."""
    label = source_label(source)
    if re.match("https?://", label, re.IGNORECASE):
        scheme, _, rest = label.partition("://")
        return Asset(
            key=asset_key(f"{scheme.lower()}://{rest}"), properties=AssetProperties(url=label)
        )
    return Asset(key=_file_key(Path(source)))


def subset_asset(subset_uri: str, country: str) -> Asset:
    """Return the asset of a country's rows in object storage, which is the same for every run.

    Args:
        subset_uri: Folder of one run, named by its run key.
        country: The country.
    """
    return Asset(
        key=asset_key(subset_uri.rpartition("/")[0]),
        properties=AssetProperties(
            name=f"{country}: rows of each source",
            description="Temporary input of the notebooks, one CSV file a source.",
        ),
    )


def result_asset(url: URL) -> Asset:
    """Return the asset of the result table.

    Args:
        url: The database; user and password do not get into the key.
    """
    place = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    key = f"{url.get_backend_name()}://{place}/{url.database or ''}/{RENEWABLE_SHARE.name}"
    return Asset(key=asset_key(key), properties=AssetProperties(name=RENEWABLE_SHARE.name))


def chart_asset(country: str, output_dir: str | Path) -> Asset:
    """Return the asset of a country's chart in a folder of this machine."""
    return Asset(
        key=_file_key(Path(output_dir).expanduser() / f"{slug(country)}.png"),
        properties=AssetProperties(name=f"{country}: chart"),
    )


def _file_key(path: Path) -> str:
    return asset_key(f"file://{path.absolute().as_posix()}")
