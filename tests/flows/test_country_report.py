"""The report of a flow run, as its readers see it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from flows.chart import ChartFiles
from flows.country_report import country_report, headline
from tests.blocks.databricks.runs import OK, RAISED, Story

NAN = float("nan")
SHARES = pd.DataFrame(
    {
        "Year": [2001, 2003, 2002],
        "Hydro (% electricity)": [50.0, NAN, 40.0],
        "Wind (% electricity)": [1.0, 7.25, 2.5],
        "SHW%": [51.0, NAN, 42.5],
    }
)
RUN = replace(Story({"join": OK}).state, run_page_url="https://workspace/#job/1/run/900")


def report(tmp_path: Path, run: object = RUN) -> list[str]:
    files = ChartFiles(tmp_path / "a.png", tmp_path / "a.csv")
    files.chart.write_bytes(b"a picture")
    assert isinstance(run, type(RUN))
    return country_report(SHARES, "Norway", "Data: x.csv", files, run, 36.0).splitlines()


def test_headline_is_the_last_complete_year() -> None:
    assert headline(SHARES, "Norway") == "Norway: 42.5 % of electricity from hydro and wind in 2002"


def test_headline_without_a_complete_year() -> None:
    nothing = SHARES.assign(**{"SHW%": NAN})

    assert headline(nothing, "Norway") == "Norway: no year has numbers for hydro and wind"


def test_report_shows_chart_numbers_and_run(tmp_path: Path) -> None:
    lines = report(tmp_path)

    assert lines[0] == "# Norway: 42.5 % of electricity from hydro and wind in 2002"
    assert "![Chart of Norway](data:image/png;base64,YSBwaWN0dXJl)" in lines
    table = lines.index("| Year | Hydro | Wind | SHW% |")
    assert lines[table + 2 : table + 5] == [
        "| 2003 |  | 7.25 |  |",
        "| 2002 | 40.00 | 2.50 | 42.50 |",
        "| 2001 | 50.00 | 1.00 | 51.00 |",
    ]
    assert (
        f"Data: x.csv. All years: `{tmp_path / 'a.csv'}`. Chart: `{tmp_path / 'a.png'}`." in lines
    )
    assert "[Job run 900](https://workspace/#job/1/run/900)" in lines
    assert "Run 900 was not repaired." in lines


def test_report_of_a_repaired_run_has_the_receipt(tmp_path: Path) -> None:
    repaired = Story({"join": OK, "transform": RAISED}).repaired({"transform": OK}).state

    text = "\n".join(report(tmp_path, repaired))

    assert "| Run again | transform" in text
    assert "An hour costs 36." in text
