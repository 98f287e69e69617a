"""The row-wise reader: what it accepts, what it refuses, and how it says so."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.sources import (
    Row,
    SourceError,
    SourceFile,
    SourceHeader,
    check_distinct,
    nearest,
    read_header,
    read_rows,
)
from tests.flows.source_files import HEADER, Layout, layouts, tables

GOOD = f"{HEADER}\nNorway,NOR,2000,99.5\nNorway,NOR,2001,\n"
ROWS = [Row("Norway", "NOR", 2000, 99.5), Row("Norway", "NOR", 2001, None)]
NOT_CSV = "this is not valid CSV, check quotes and line ends"


def save(folder: Path, content: str | bytes) -> SourceFile:
    path = folder / "hydro.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return SourceFile("hydro.csv", path)


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(SourceError) as caught:
        list(read_rows(save(folder, content)))
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.removesuffix("\n"),
        GOOD + "\n\r\n",
        GOOD.replace("\nNorway", "\n\nNorway"),
        GOOD.replace("2000,99.5", " 2000 ,\t99.5 "),
        GOOD.replace("2000,99.5", '"2000","99.5"'),
        GOOD.replace("2000,99.5", "+2000,.995e2"),
        GOOD.replace("2001,", '2001,""'),
        GOOD.replace("2001,", "2001,  "),
        GOOD.replace("Entity", '" Entity "'),
    ],
)
def test_harmless_variants_give_the_same_rows(tmp_path: Path, content: str) -> None:
    assert list(read_rows(save(tmp_path, content))) == ROWS


def test_names_are_kept_to_the_letter(tmp_path: Path) -> None:
    names = ["Bonaire, Sint Eustatius", "Cote d'Ivoire", 'The "Gambia"', "Åland", " X ", "a\nb"]
    text = io.StringIO()
    csv.writer(text).writerows([name, "", 2000, 1] for name in names)
    rows = read_rows(save(tmp_path, f"{HEADER}\n{text.getvalue()}"))
    assert [row.entity for row in rows] == names


@given(rows=tables(), layout=layouts())
@settings(deadline=None)
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], layout: Layout
) -> None:
    file = save(tmp_path_factory.mktemp("source"), layout.write(rows))
    assert list(read_rows(file)) == rows


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("Norway,NOR,year,1", "the Year 'year' is not a year from 1 to 9999"),
        ("Norway,NOR,,1", "the Year '' is not a year from 1 to 9999"),
        ("Norway,NOR,2000.0,1", "the Year '2000.0' is not a year from 1 to 9999"),
        ("Norway,NOR,0x7D0,1", "the Year '0x7D0' is not a year from 1 to 9999"),
        ("Norway,NOR,2_000,1", "the Year '2_000' is not a year from 1 to 9999"),
        ("Norway,NOR,-1,1", "the Year '-1' is not a year from 1 to 9999"),
        ("Norway,NOR,0,1", "the Year '0' is not a year from 1 to 9999"),
        ("Norway,NOR,20000,1", "the Year '20000' is not a year from 1 to 9999"),
        ("Norway,NOR,2002,n/a", "the share 'n/a' is not a number"),
        ("Norway,NOR,2002,NaN", "the share 'NaN' is not a number"),
        ("Norway,NOR,2002,Infinity", "the share 'Infinity' is not a number"),
        ("Norway,NOR,2002,0x10", "the share '0x10' is not a number"),
        ('Norway,NOR,2002,"12,5"', "the share '12,5' is not a number"),
        ("Norway,NOR,2002,100.1", "the share '100.1' is not a percentage from 0 to 100"),
        ("Norway,NOR,2002,-0.1", "the share '-0.1' is not a percentage from 0 to 100"),
        ("Norway,NOR,2002,1e999", "the share '1e999' is not a percentage from 0 to 100"),
        (",NOR,2002,1", "the Entity is empty"),
        ('"  ",NOR,2002,1', "the Entity is empty"),
        ("Norway,NOR,2002", "there are 3 cells where the header has 4"),
        ("Norway,NOR,2002,1,", "there are 5 cells where the header has 4"),
        (
            "Norway,X,2000,1",
            "'Norway' has the year 2000 already on line 2; keep one of the two",
        ),
        ("Nor\0way,NOR,2002,1", "there is a NUL character; is this a CSV file?"),
        (
            '"Nor"way,NOR,2002,1',
            f"{NOT_CSV} (',' expected after '\"')",
        ),
        (
            '"Norway,NOR,2002,1',
            f"{NOT_CSV} (unexpected end of data)",
        ),
        (
            "Nor\rway,NOR,2002,1",
            f"{NOT_CSV} (new-line character seen in unquoted field)",
        ),
        ("N" * 70_000, "the line is longer than 64 KiB; is this a CSV file?"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, record: str, reason: str) -> None:
    message = refusal(tmp_path, f"{GOOD}{record}\n")
    assert message.removesuffix(".") == f"hydro.csv, line 4: {reason}"


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    content = GOOD.encode() + "Åland,ALA,2000,1\n".encode("latin-1")
    assert refusal(tmp_path, content).startswith("hydro.csv, line 4: the text is not UTF-8")
    assert refusal(tmp_path, GOOD.encode("utf-16")).startswith("hydro.csv, line 1: the text is not")


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    content = f'{HEADER}\r\n"two\r\nlines",,2000,1\r\n\r\nNorway,NOR,x,1\r\n'
    assert refusal(tmp_path, content).startswith("hydro.csv, line 5: the Year 'x'")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", ": the file is empty"),
        ("\ufeff", ": the file is empty"),
        (f"{HEADER}\n", ": there are no rows below the header"),
        (f"\n{GOOD}", ", line 1: the line is empty; the header belongs there"),
        ("Entity,Year,Hydro (% electricity)\n", ", line 1: the column Code is missing"),
        (f"{HEADER},Note\n", ", line 1: the column 'Note' is unexpected"),
        ("Entity,Code,Year,Hydro (TWh)\n", ", line 1: the column 'Hydro (TWh)' is unexpected"),
        ("Entity,Code,Year\n", ", line 1: there are 0 columns '<Source> (% electricity)'"),
        (f"{HEADER},Wind (% electricity)\n", ", line 1: there are 2 columns"),
        (f"{HEADER},Code\n", ", line 1: the column 'Code' appears more than once"),
        ("Entity;Code;Year;Hydro (% electricity)\n", ", line 1: the column Entity is missing"),
        ("<!doctype html>\n", ", line 1: the column Entity is missing"),
    ],
)
def test_a_bad_header_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    assert refusal(tmp_path, content).startswith(f"hydro.csv{reason}")


def test_a_header_in_any_order(tmp_path: Path) -> None:
    file = save(tmp_path, "Year,Tidal (% electricity),Entity,Code\n2000,3,Norway,NOR\n")
    assert read_header(file) == SourceHeader(
        "hydro.csv", "Tidal", "Tidal (% electricity)", ("year", "share", "entity", "code")
    )
    assert list(read_rows(file)) == [Row("Norway", "NOR", 2000, 3.0)]


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^here: the file cannot be read \(Is a directory\)\.$"):
        read_header(SourceFile("here", tmp_path))


@dataclass(frozen=True)
class Named:
    name: str
    source: str


def test_one_source_in_two_files_is_refused() -> None:
    hydro, wind = Named("Hydro", "a.csv"), Named("Wind", "b.csv")
    check_distinct([hydro, wind])
    with pytest.raises(SourceError, match=r"^c\.csv: .*'hydro \(% electricity\)'.* in a\.csv;"):
        check_distinct([hydro, wind, Named("hydro", "c.csv")])


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("Swizerland", "Switzerland"),
        ("NORWAY", "Norway"),
        ("COTE D'IVOIRÉ", "Cote d'Ivoire"),
        ("korea", "South Korea"),
        ("Norway'; DROP TABLE x; --", None),
        ("", None),
        ("x" * 1_000_000, None),
    ],
)
def test_nearest_names(name: str, best: str | None) -> None:
    known = ["Cote d'Ivoire", "Norway", "South Korea", "Switzerland"]
    assert nearest(name, known)[:1] == ([best] if best else [])


@given(name=st.text(), known=st.lists(st.text(max_size=10), max_size=20))
def test_nearest_gives_known_names_at_most_three(name: str, known: list[str]) -> None:
    found = nearest(name, known)
    assert len(found) <= 3
    assert set(found) <= set(known)
