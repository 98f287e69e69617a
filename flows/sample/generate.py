"""Make the packaged sample anew: ``python -m flows.sample.generate``.

The values are invented. They have the size and the trend that one expects of each place, so that
charts look right, but no value is a measurement. Among the entities is one of each kind that real
files have: regions without a code, a short series, a year that only one source has, an entity that
a source leaves out, names with commas, apostrophes and brackets.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from flows.sample import SAMPLE

FIRST_YEAR, LAST_YEAR = 1985, 2021
SOURCES = ("Hydro", "Solar", "Wind")  # in the order of SAMPLE

# The limit of all shares together: no entity lives from these sources alone.
MOST = 99.8


@dataclass(frozen=True)
class Growth:
    """A source that starts from nothing.

    Attributes:
        start: The last year without it.
        share: Its share in percent that it reaches in ``LAST_YEAR``.
    """

    start: int
    share: float


@dataclass(frozen=True)
class Entity:
    """One entity of the sample.

    Attributes:
        name: As it stands in the files.
        code: ISO 3166 alpha-3 code, or Our World in Data's own; empty for a region.
        hydro: Share of hydropower in percent, in ``FIRST_YEAR`` and in ``LAST_YEAR``.
        wind: How wind power grew.
        solar: How solar power grew.
        swing: How far a dry or wet year moves hydropower, as a fraction of it.
        first: First year of the series.
        last: Last year of the series.
        missing: Years that a source leaves out; None stands for all of them.
    """

    name: str
    code: str
    hydro: tuple[float, float]
    wind: Growth
    solar: Growth
    swing: float = 0.08
    first: int = FIRST_YEAR
    last: int = LAST_YEAR
    missing: tuple[tuple[str, int | None], ...] = ()


NEVER = Growth(LAST_YEAR, 0)

ENTITIES = (
    Entity("Austria", "AUT", (68, 58), Growth(1995, 10.5), Growth(2004, 4.2)),
    Entity("Bosnia and Herzegovina", "BIH", (34, 37), Growth(2016, 2.4), Growth(2012, 0.4), 0.2),
    Entity("Brazil", "BRA", (92, 57), Growth(2005, 11), Growth(2014, 2.6), 0.05),
    Entity("Canada", "CAN", (62, 59), Growth(1998, 5.6), Growth(2006, 0.8), 0.03),
    Entity("China", "CHN", (21, 16), Growth(2002, 7.6), Growth(2008, 3.9), 0.06),
    Entity(
        "Congo, Democratic Republic of", "COD", (98, 99.2), NEVER, Growth(2016, 0.1), 0.004, 2000
    ),
    Entity("Costa Rica", "CRI", (90, 74), Growth(1994, 12.4), Growth(2010, 0.6), 0.05),
    Entity("Cote d'Ivoire", "CIV", (60, 31), NEVER, Growth(2010, 0.1), 0.15, 2000, 2020),
    Entity("Denmark", "DNK", (0.1, 0.1), Growth(1984, 49), Growth(2009, 4), 0.1),
    Entity("European Union (27)", "", (13, 12.5), Growth(1992, 13.8), Growth(2003, 5.6), 0.06),
    Entity("France", "FRA", (18, 11), Growth(1998, 6.8), Growth(2007, 2.8), 0.14),
    Entity("Germany", "DEU", (3.4, 3.4), Growth(1991, 20), Growth(2001, 8.6)),
    Entity("India", "IND", (28, 9.6), Growth(1994, 4.2), Growth(2010, 4.1)),
    Entity(
        "Kenya",
        "KEN",
        (78, 32),
        Growth(2008, 16),
        Growth(2013, 1.3),
        0.12,
        missing=(("Wind", 1998),),
    ),
    Entity("Korea, South", "KOR", (3.8, 0.6), Growth(2001, 0.6), Growth(2005, 3.9), 0.16),
    Entity(
        "Lesotho",
        "LSO",
        (99.6, 99.2),
        NEVER,
        Growth(2013, 0.2),
        0.003,
        2000,
        missing=(("Wind", None),),
    ),
    Entity(
        "Middle East",
        "",
        (3.2, 1.4),
        Growth(2004, 0.3),
        Growth(2010, 1.2),
        0.2,
        missing=(("Hydro", 2021), ("Wind", 2021)),
    ),
    Entity("Morocco", "MAR", (7, 2.9), Growth(2000, 12.6), Growth(2014, 4.3), 0.3, 2000, 2020),
    Entity("New Zealand", "NZL", (78, 55), Growth(1997, 6.1), Growth(2010, 0.5), 0.05),
    Entity("Norway", "NOR", (99.3, 91.5), Growth(2001, 7.5), Growth(2015, 0.1), 0.006),
    Entity("Paraguay", "PRY", (99.7, 99.6), NEVER, NEVER, 0.001, 2000, 2020),
    Entity("Portugal", "PRT", (52, 25), Growth(1996, 26), Growth(2006, 4.4), 0.24),
    Entity(
        "Saint Vincent and the Grenadines", "VCT", (23, 17), NEVER, Growth(2013, 1.4), 0.1, 2000
    ),
    Entity("South Sudan", "SSD", (0, 0), NEVER, Growth(2015, 1), 0, 2012, 2020),
    Entity("Switzerland", "CHE", (59, 57), Growth(2004, 0.3), Growth(2006, 4.9), 0.05),
    Entity("Uruguay", "URY", (88, 34), Growth(2007, 33), Growth(2012, 3), 0.16),
    Entity("World", "OWID_WRL", (20, 15.2), Growth(1990, 6.7), Growth(2004, 3.7), 0.015),
)


def shares(entity: Entity) -> Iterator[tuple[str, int, float]]:
    """Yield ``(source, year, share in percent)`` of an entity, in the order of the years.

    Only sums, products and ``Random.random`` are used: these give the same bits everywhere, which
    functions like ``exp`` or ``gauss`` do not promise.
    """
    # A generator for each entity, so that a change to one leaves the values of the others alone.
    random = Random(f"renewables sample, {entity.name}")  # noqa: S311 (no secret)
    for year in range(entity.first, entity.last + 1):
        wind, solar = (
            _grown(growth, year) * (0.94 + 0.12 * random.random())
            for growth in (entity.wind, entity.solar)
        )
        begin, end = entity.hydro
        trend = begin + (end - begin) * (year - FIRST_YEAR) / (LAST_YEAR - FIRST_YEAR)
        weather = 1 + entity.swing * (random.random() + random.random() - 1)
        hydro = min(trend * weather, MOST - wind - solar)
        for source, share in zip(SOURCES, (hydro, solar, wind), strict=True):
            if not {(source, year), (source, None)} & set(entity.missing):
                yield source, year, share


def render(source: str) -> str:
    """Return the text of the CSV file of one source."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Entity", "Code", "Year", f"{source} (% electricity)"])
    for entity in ENTITIES:
        for of, year, share in shares(entity):
            if of == source:
                number = f"{share:.3f}".rstrip("0").rstrip(".")
                writer.writerow([entity.name, entity.code, year, number])
    return text.getvalue()


def _grown(growth: Growth, year: int) -> float:
    """Return the share in a year: none up to the start, then rising, slowly at first."""
    if year <= growth.start:
        return 0.0
    progress = (year - growth.start) / (LAST_YEAR - growth.start)
    return growth.share * progress * progress * (2 - progress)


if __name__ == "__main__":
    for path, source in zip(SAMPLE, SOURCES, strict=True):
        path.write_text(render(source), encoding="utf-8", newline="\n")
