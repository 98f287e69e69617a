from __future__ import annotations

import csv

from flows.sample import SAMPLE
from flows.sample.generate import SOURCES, render


def test_committed_files_are_what_the_generator_makes() -> None:
    for path, source in zip(SAMPLE, SOURCES, strict=True):
        assert path.read_bytes() == render(source).encode(), path.name


def test_sample_is_plausible() -> None:
    totals: dict[tuple[str, str], float] = {}
    codes: dict[str, set[str]] = {}
    entities: list[set[str]] = []
    for path in SAMPLE:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header[:3] == ["Entity", "Code", "Year"]
        assert len({(entity, year) for entity, _, year, _ in rows}) == len(rows)
        entities.append({entity for entity, _, _, _ in rows})
        for entity, code, year, share in rows:
            assert 1985 <= int(year) <= 2021
            assert float(share) >= 0
            codes.setdefault(entity, set()).add(code)
            totals[entity, year] = totals.get((entity, year), 0.0) + float(share)

    assert max(totals.values()) <= 100
    assert all(len(of_entity) == 1 for of_entity in codes.values())
    assert len(set().union(*entities) - entities[0].intersection(*entities)) == 1
