"""Loading and selecting, on PostgreSQL and on SQLite."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import text

from flows.postgres_copy import UnusualFileError, read_plain_chunks
from flows.sources import Row, SourceError, SourceFile, read_rows
from flows.temporary_tables import (
    CountrySubset,
    LostRowsError,
    SourceTable,
    drop_tables,
    known_countries,
    load_file,
    read_subset,
    run_tables,
    select_rows,
    table_name,
    transaction,
)
from tests.flows.source_files import HEADER, Layout, layouts, tables

RUN = "0123456789abcdef0123456789abcdef"
OTHER_RUN = "aaaaaaaaaaaa"
CELLS = [
    *["Norway", '"Norway"', '"Nor,way"', 'Nor"way', '"Nor""way"', '"Norway', " Norway ", "", '""'],
    *["2000", "2001", " 2000 ", "+2000", "02000", "2000.0", "2_000", "0x7D0", "-1", "10000", "x"],
    *["12.5", ".5", "5.", "1e1", "-0", "100", "100.01", "-1", "1e999", "1e-999", "nan", "inf"],
    *["0x1p3", "1_0", "\\.", "\\N", "\t7", "\u00a07", "OWID_1", "\r", "\n", "\r\n", "N" * 70_000],
]


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def connector(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SqlAlchemyConnector]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'test.db'}"
    with SqlAlchemyConnector(connection_info=url) as connector:
        yield connector
        for run_key in run_tables(connector):
            drop_tables(connector, run_key)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


def save(folder: Path, content: str | bytes, name: str = "hydro.csv") -> SourceFile:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return SourceFile(name, path)


def load(
    connector: SqlAlchemyConnector, file: SourceFile, index: int = 0, run_key: str = RUN
) -> SourceTable:
    return load_file(connector, file, table_name(run_key, index))


def stored(connector: SqlAlchemyConnector, table: str) -> list[Row]:
    with transaction(connector) as connection:
        rows = connection.execute(text(f"SELECT entity, code, year, share FROM {table}"))
        return by_key(map(Row._make, rows))


def by_key(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.entity, row.year))


def verdict(read: Callable[[], list[Row]]) -> list[Row] | str:
    try:
        return read()
    except SourceError as error:
        return str(error)


@given(rows=tables(), layout=layouts())
@settings(deadline=None, max_examples=60)
def test_a_good_file_is_loaded_as_the_reader_reads_it(
    connector: SqlAlchemyConnector, folder: Path, rows: list[Row], layout: Layout
) -> None:
    table = load(connector, save(folder, layout.write(rows)))
    assert (table.name, table.rows, table.source) == ("Hydro", len(rows), "hydro.csv")
    assert stored(connector, table.table) == by_key(rows)


@given(
    records=st.lists(
        st.tuples(
            st.sampled_from(["Norway", "Sweden"]) | st.sampled_from(CELLS),
            st.just("NOR") | st.sampled_from(CELLS),
            st.integers(1, 9999).map(str) | st.sampled_from(CELLS),
            st.just("12.5") | st.sampled_from(CELLS),
        ).map(",".join),
        min_size=1,
        max_size=4,
    ),
    line_end=st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"]),
)
@example(records=['a",NOR,2000,1', 'b",NOR,2001,2'], line_end="\n")
@example(records=['a"b",NOR,2000,1'], line_end="\n")
@example(records=["Norway,NOR,2000,1", "\\.", "Norway,NOR,2001,x"], line_end="\n")
@example(records=["Norway,NOR,2063,1", "Norway,NOR,2064,1", "Norway,NOR,2063,1"], line_end="\n")
@settings(deadline=None, max_examples=150)
def test_a_doubtful_file_gets_the_readers_verdict(
    connector: SqlAlchemyConnector, folder: Path, records: list[str], line_end: str
) -> None:
    file = save(folder, line_end.join([f"{HEADER}\n{records[0]}", *records[1:], ""]))
    expected = verdict(lambda: by_key(read_rows(file)))
    assert verdict(lambda: stored(connector, load(connector, file).table)) == expected


@pytest.mark.parametrize("bad", [b"\xc5land,ALA,2000,1", b"A\0,ALA,2000,1", b"A,ALA,1999,1"])
def test_a_bad_row_far_down_is_found(
    connector: SqlAlchemyConnector, tmp_path: Path, bad: bytes
) -> None:
    good = b"".join(b"A,ALA,%d,1\n" % year for year in range(1, 9999))
    with pytest.raises(SourceError, match=r"^hydro\.csv, line 10000: "):
        load(connector, save(tmp_path, HEADER.encode() + b"\n" + good + bad + b"\n"))


def test_a_refused_file_leaves_no_part_of_itself(
    connector: SqlAlchemyConnector, tmp_path: Path
) -> None:
    table = load(connector, save(tmp_path, f"{HEADER}\nSweden,SWE,2000,1\n"))
    with pytest.raises(SourceError):
        load(connector, save(tmp_path, f"{HEADER}\nNorway,NOR,2000,1\nNorway,NOR,2001,x\n"))
    assert "Norway" not in known_countries(connector, [table])


def test_plain_files_go_through_copy_unseen(tmp_path: Path) -> None:
    rows = '"Bonaire, Sint Eustatius",BES,2000,1\nCote d\'Ivoire,CIV,2000,\n'
    for line_end, end in (("\n", "\n\n"), ("\r\n", "\r\n\r\n")):
        content = (f"\ufeff{HEADER}\n{rows}").replace("\n", line_end)
        chunks = b"".join(read_plain_chunks(save(tmp_path, content + end)))
        assert chunks == rows.replace("\n", line_end).encode()
    with pytest.raises(UnusualFileError):
        list(read_plain_chunks(save(tmp_path, f'{HEADER}\nThe "Gambia",GMB,2000,1\n')))


def test_loading_again_replaces_the_table(connector: SqlAlchemyConnector, tmp_path: Path) -> None:
    load(connector, save(tmp_path, f"{HEADER}\nNorway,NOR,2000,1\n"))
    table = load(connector, save(tmp_path, f"{HEADER}\nSweden,SWE,2000,2\n"))
    assert stored(connector, table.table) == [Row("Sweden", "SWE", 2000, 2.0)]


def test_a_country_is_selected_to_the_letter(
    connector: SqlAlchemyConnector, tmp_path: Path
) -> None:
    content = f"{HEADER}\nChad,TCD,2001,\nChad,TCD,2000,1.5\nCHAD,X,1999,2\n Chad,X,1998,3\n"
    subset = select_rows(connector, load(connector, save(tmp_path, content)), "Chad")
    assert (subset.name, subset.years) == ("Hydro", (2000, 2001))
    frame = read_subset(connector, subset)
    assert list(frame.columns) == ["Entity", "Code", "Year", "Hydro (% electricity)"]
    assert frame.fillna(-1.0).values.tolist() == [
        ["Chad", "TCD", 2000, 1.5],
        ["Chad", "TCD", 2001, -1.0],
    ]


@pytest.mark.parametrize(
    "country",
    ["", "%", "Norway' OR '1'='1", "'; DROP TABLE renewable_share; --", "a\0b", "\ud800", ":x"],
)
def test_a_hostile_country_is_just_an_unknown_one(
    connector: SqlAlchemyConnector, tmp_path: Path, country: str
) -> None:
    table = load(connector, save(tmp_path, f"{HEADER}\nNorway,NOR,2000,1\n"))
    subset = select_rows(connector, table, country)
    assert subset.years == ()
    assert read_subset(connector, subset).empty
    assert known_countries(connector, [table]) == ["Norway"]


def test_known_countries_are_those_of_all_sources(
    connector: SqlAlchemyConnector, tmp_path: Path
) -> None:
    first = load(connector, save(tmp_path, f"{HEADER}\nNorway,NOR,2000,1\nNorway,NOR,2001,1\n"))
    second = load(connector, save(tmp_path, f"{HEADER}\nChad,TCD,2000,1\n"), index=1)
    assert known_countries(connector, [first, second]) == ["Chad", "Norway"]


def test_runs_see_and_drop_their_own_tables_alone(
    connector: SqlAlchemyConnector, tmp_path: Path
) -> None:
    for run_key in (*run_tables(connector), RUN):
        drop_tables(connector, run_key)
    with transaction(connector) as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS renewables_tmp_mine (a INTEGER)"))
    file = save(tmp_path, f"{HEADER}\nNorway,NOR,2000,1\n")
    tables = {key: load(connector, file, run_key=key) for key in (RUN, OTHER_RUN)}
    select_rows(connector, tables[RUN], "Norway")

    own, others = f"renewables_tmp_{RUN}_0", f"renewables_tmp_{OTHER_RUN}_0"
    assert run_tables(connector) == {RUN: [own, f"{own}_subset"], OTHER_RUN: [others]}
    assert drop_tables(connector, RUN) == [own, f"{own}_subset"]
    assert drop_tables(connector, RUN) == []
    assert run_tables(connector) == {OTHER_RUN: [others]}
    with transaction(connector) as connection:
        connection.execute(text("DROP TABLE renewables_tmp_mine"))


@pytest.mark.parametrize("run_key", ["", "short", "A" * 32, "a" * 33, 'x"; DROP TABLE y; --'])
def test_a_run_key_that_is_none_names_no_table(run_key: str) -> None:
    with pytest.raises(ValueError, match="No table can be named"):
        table_name(run_key, 0)


def test_a_table_that_lost_its_rows_is_noticed(
    connector: SqlAlchemyConnector, tmp_path: Path
) -> None:
    table = load(connector, save(tmp_path, f"{HEADER}\nNorway,NOR,2000,1\n"))
    subset = select_rows(connector, table, "Norway")
    with transaction(connector) as connection:
        connection.execute(text(f"DELETE FROM {table.table}"))
        connection.execute(text(f"DELETE FROM {subset.table}"))
    with pytest.raises(LostRowsError, match=r"lost the 1 rows loaded from hydro\.csv"):
        select_rows(connector, table, "Norway")
    with pytest.raises(LostRowsError, match="has changed since it was made"):
        read_subset(connector, CountrySubset(subset.table, subset.column, subset.name, (2000,)))


def test_two_processes_of_a_run_may_load_a_table_at_once(postgres_url: str, folder: Path) -> None:
    file = save(folder, f"{HEADER}\nNorway,NOR,2000,1\n")
    barrier = Barrier(4)

    def process(_number: int) -> int:
        with SqlAlchemyConnector(connection_info=postgres_url) as connector:
            barrier.wait()
            return load(connector, file, run_key=OTHER_RUN).rows

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(process, range(4))) == [1] * 4
    with SqlAlchemyConnector(connection_info=postgres_url) as connector:
        assert drop_tables(connector, OTHER_RUN) == [table_name(OTHER_RUN, 0)]
