"""The check of a result, and its table on PostgreSQL and on SQLite."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import text

from flows.result import (
    ResultError,
    check_report,
    check_result,
    read_result,
    upsert_result,
)
from flows.temporary_tables import transaction

HYDRO, WIND = "Hydro (% electricity)", "Wind (% electricity)"
NAN = float("nan")


def subset(column: str, shares: dict[int, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"Entity": "Norway", "Code": "NOR", "Year": list(shares), column: list(shares.values())}
    )


# 1999 has no share of hydro, 2001 an empty one of wind.
SUBSETS = [
    subset(HYDRO, {2000: 90.1, 2001: 91.0, 2002: 92.123456789}),
    subset(WIND, {1999: 1.0, 2000: 2.2, 2001: NAN, 2002: 3.0}),
]


def result(**changes: list[object]) -> pd.DataFrame:
    columns: dict[str, list[object]] = {
        "Year": [1999, 2000, 2001, 2002],
        HYDRO: [NAN, 90.1, 91.0, 92.123456789],
        WIND: [1.0, 2.2, NAN, 3.0],
        "SHW%": [NAN, 92.3, NAN, 95.123457],
    }
    titles = {"year": "Year", "hydro": HYDRO, "wind": WIND, "total": "SHW%"}
    return pd.DataFrame(columns | {titles[name]: values for name, values in changes.items()})


def test_a_right_result_passes_in_any_order() -> None:
    check_result(result(), SUBSETS)
    check_result(result().iloc[::-1, ::-1], SUBSETS)
    check_result(result(total=[NAN, 92.30000000000001, NAN, 95.123456789]), SUBSETS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"year": [1999, 2000, 2000, 2002]}, "has the year 2000 more than once"),
        ({"year": [1999, 2000, 2001, 2003]}, "lacks the year 2002, which the sources have"),
        ({"year": ["a", "b", "c", "d"]}, "something else than whole numbers as Year"),
        ({"hydro": [NAN, "x", 91, 92]}, "has text where numbers belong"),
        ({"hydro": [NAN, 190.1, 91, 92]}, "has 190.1 as Hydro .* not a percentage"),
        ({"hydro": [NAN, -1.0, 91, 92]}, "has -1 as Hydro .* of 2000, .* not a percentage"),
        ({"hydro": [NAN, 90.2, 91, 92]}, r"has 90.2 as Hydro .* where the source has 90\.1\."),
        ({"hydro": [5.0, 90.1, 91, 92]}, "has 5 as Hydro .* of 1999, .* has nothing"),
        ({"wind": [1.0, NAN, NAN, 3.0]}, "has nothing as Wind .* of 2000, .* has 2.2"),
        ({"total": [NAN, 92.4, NAN, 95.123457]}, r"92.4 as SHW% of 2000, .* parts make 92\.3\."),
        ({"total": [1.0, 92.3, NAN, 95.123457]}, "1 as SHW% of 1999, .* parts make nothing"),
        ({"total": [NAN, NAN, NAN, 95.123457]}, "nothing as SHW% of 2000"),
    ],
)
def test_a_wrong_result_is_refused(changes: dict[str, list[object]], reason: str) -> None:
    with pytest.raises(ResultError, match=reason):
        check_result(result(**changes), SUBSETS)


def test_a_result_of_other_years_or_columns_is_refused() -> None:
    extra_year = pd.concat([result(), result().tail(1).assign(Year=2003)])
    with pytest.raises(ResultError, match="has the year 2003, which no source has"):
        check_result(extra_year, SUBSETS)
    with pytest.raises(ResultError, match=r"has the columns Year, Hydro .*; expected are Year, "):
        check_result(result().drop(columns=WIND), SUBSETS)


@pytest.fixture(params=["postgresql", "sqlite"])
def connector(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlAlchemyConnector]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    else:
        url = f"sqlite:///{tmp_path / 'test.db'}"
    with SqlAlchemyConnector(connection_info=url) as connector:
        with transaction(connector) as connection:
            connection.execute(text("DROP TABLE IF EXISTS renewable_share"))
        yield connector


def test_a_result_comes_back_as_it_was_written(connector: SqlAlchemyConnector) -> None:
    assert upsert_result(connector, "Cote d'Ivoire", result()) == 4
    pd.testing.assert_frame_equal(read_result(connector, "Cote d'Ivoire"), result())
    assert read_result(connector, "Norway").empty


def test_writing_again_replaces_rows_whole_and_only_those(connector: SqlAlchemyConnector) -> None:
    upsert_result(connector, "Norway", result())
    upsert_result(connector, "Sweden", result())
    tidal = "Tidal (% electricity)"
    again = pd.DataFrame({"Year": [2002, 2003], tidal: [1.0, 2.0], "SHW%": [1.0, 2.0]})
    assert upsert_result(connector, "Norway", again) == 2

    stored = read_result(connector, "Norway").set_index("Year")
    assert list(stored.index) == [1999, 2000, 2001, 2002, 2003]
    assert stored.loc[2002].dropna().to_dict() == {tidal: 1.0, "SHW%": 1.0}
    assert stored.loc[2000].dropna().to_dict() == {HYDRO: 90.1, WIND: 2.2, "SHW%": 92.3}
    pd.testing.assert_frame_equal(read_result(connector, "Sweden"), result())


def test_runs_at_the_same_time_may_all_make_the_table(connector: SqlAlchemyConnector) -> None:
    def write(country: str) -> int:
        url = connector.connection_info
        with SqlAlchemyConnector(connection_info=url) as own:
            return upsert_result(own, country, result())

    countries = ["Norway", "Norway", "Sweden", "Chad"] * 2
    with ThreadPoolExecutor(len(countries)) as pool:
        assert list(pool.map(write, countries)) == [4] * len(countries)
    for country in countries:
        pd.testing.assert_frame_equal(read_result(connector, country), result())


def test_a_failed_write_leaves_nothing(connector: SqlAlchemyConnector) -> None:
    upsert_result(connector, "Norway", result().head(1))
    with pytest.raises(Exception, match=r"too large|out of range|overflow"):
        upsert_result(connector, "Norway", result(year=[1999, 2000, 2001, 2**70]))
    assert list(read_result(connector, "Norway")["Year"]) == [1999]


@pytest.mark.parametrize(
    "reported",
    [
        *["", "no json", "[]", '{"rows": 2, "years": [2000, 2001]}', '{"rows": 3}'],
        # What Databricks cuts off at 5 MB, and what no reader follows.
        *['{"rows": "' + "9" * 5_000_000, "[" * 100_000],
    ],
    ids=lambda reported: reported[:12],
)
def test_a_report_that_differs_is_refused_with_one_sentence(reported: str) -> None:
    frame = pd.DataFrame({"Year": [2000, 2001, 2002]})
    with pytest.raises(ResultError, match="2002") as refused:
        check_report(frame, reported)
    assert len(str(refused.value)) < 400
    check_report(frame, '{"years": [2000, 2002], "rows": 3}')
