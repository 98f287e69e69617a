"""Source files for tests: generated tables, and the ways in which they may be written."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from flows.sources import Row

HEADER = "Entity,Code,Year,Hydro (% electricity)"

# Rich in what CSV parsers and databases read in a way of their own.
_NAMES = st.text(
    st.sampled_from("aÅé中,;\"'\\.0x_1 \t\n") | st.characters(exclude_categories=["Cs", "Cc"]),
    min_size=1,
    max_size=8,
).filter(lambda name: name.strip(" "))
_SHARES = st.none() | st.floats(0, 100) | st.sampled_from([0.0, 100.0, 12.345])


@dataclass(frozen=True)
class Layout:
    """One of the ways to write the same table."""

    order: Sequence[int]
    quoting: int
    line_end: str
    start: str
    end: str

    def write(self, rows: Sequence[Row]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, quoting=self.quoting, lineterminator=self.line_end)  # type: ignore[arg-type] # any of csv's constants
        for cells in (HEADER.split(","), *rows):
            writer.writerow([cells[position] for position in self.order])
        return (self.start + text.getvalue().removesuffix(self.line_end) + self.end).encode()


def layouts() -> st.SearchStrategy[Layout]:
    return st.builds(
        Layout,
        order=st.permutations(range(4)),
        quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        line_end=st.sampled_from(["\n", "\r\n"]),
        start=st.sampled_from(["", "\ufeff"]),
        end=st.sampled_from(["", "\n", "\r\n", "\n\n", "\r\n\r\n\n"]),
    )


def tables() -> st.SearchStrategy[list[Row]]:
    row = st.builds(
        Row, _NAMES, st.sampled_from(["", "NOR", "OWID_WRL", "0x1"]), st.integers(1, 9999), _SHARES
    )
    return st.lists(row, min_size=1, max_size=8, unique_by=lambda row: (row.entity, row.year))
