"""The parameter ``country``: what the form offers, and what is said about a name nobody knows."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from flows.form import Text
from flows.sample import SAMPLE
from flows.sources import nearest, shown


class UnknownCountryError(ValueError):
    """No source has the country. The message offers the nearest names."""


def _entities(path: Path) -> set[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["Entity"] for row in csv.DictReader(file)}


SAMPLE_COUNTRIES = tuple(sorted(set().union(*map(_entities, SAMPLE))))

# Sources are free, so a country can be any text; most people want one of the sample's. The Prefect
# UI draws `anyOf` as a switch between its parts, by their titles, and an `enum` as a list that can
# be searched.
Country = Annotated[
    Text,
    Field(
        json_schema_extra={
            "title": "Country",
            "anyOf": [
                {"title": "Choose", "type": "string", "enum": list(SAMPLE_COUNTRIES)},
                {"title": "Type", "type": "string"},
            ],
        }
    ),
]


def check_in_sample(country: str) -> None:
    """Check that the packaged sample has a country.

    Raises:
        UnknownCountryError: It has not.
    """
    if country not in SAMPLE_COUNTRIES:
        raise UnknownCountryError(unknown_country(country, SAMPLE_COUNTRIES))


def unknown_country(country: str, known: Iterable[str]) -> str:
    """Return the sentence that says that a country is unknown, and offers the nearest names."""
    names = nearest(country, known)
    if not names:
        return f"No source has a country {shown(country)}, nor one of a similar name."
    return f"No source has a country {shown(country)}. Did you mean {' or '.join(names)}?"
