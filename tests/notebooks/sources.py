"""Files as the flow exports them for the notebooks, and what must come out of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from flows.sample import SAMPLE

HYDRO, SOLAR, WIND = (f"{source} (% electricity)" for source in ("Hydro", "Solar", "Wind"))


def write_source(file: Path, column: str, rows: Sequence[tuple[object, ...]] = ()) -> None:
    """Write one source file; ``rows`` are ``(entity, year, share)``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["Entity", "Code", "Year", column])
        writer.writerows([entity, "", year, share] for entity, year, share in rows)


def export_sample(country: str, folder: Path) -> None:
    """Write the rows of one country, one file for each file of the packaged sample."""
    for path in SAMPLE:
        with path.open(encoding="utf-8", newline="") as file:
            _, *rows = csv.reader(file)
        column = path.stem.removeprefix("synthetic-").capitalize() + " (% electricity)"
        write_source(
            folder / path.name, column, [(name, y, v) for name, _, y, v in rows if name == country]
        )


def expected_result(folder: Path) -> list[dict[str, float | None]]:
    """Compute, without Spark, what both notebooks together must make of the files of a folder."""
    shares: dict[int, dict[str, float]] = {}
    columns = []
    for file in sorted(folder.glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as text:
            (*_, column), *rows = csv.reader(text)
        columns.append(column)
        for _, _, year, share in rows:
            if share:
                shares.setdefault(int(year), {})[column] = float(share)
    result = []
    for number, known in sorted(shares.items()):
        total = round(sum(known.values()), 6) if len(known) == len(columns) else None
        result.append({"Year": number, **{c: known.get(c) for c in columns}, "SHW%": total})
    return result


def numbers(rows: list[dict[str, str]]) -> list[dict[str, float | None]]:
    """Read the cells of a result: a number, or None where it is empty."""
    return [{name: float(cell) if cell else None for name, cell in row.items()} for row in rows]
