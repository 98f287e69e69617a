from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from flows.attribution import attribution
from flows.chart import plot_share, render_png
from flows.drawing import draw_chart
from flows.labels import spread
from flows.sample import SAMPLE

NAN = float("nan")


def result(years: list[int], **shares: list[float]) -> pd.DataFrame:
    """Return a result as ``transform_data`` writes it."""
    frame = pd.DataFrame({f"{name} (% electricity)": values for name, values in shares.items()})
    total = frame.sum(axis="columns", skipna=False)
    return frame.assign(**{"SHW%": total}).pipe(
        lambda f: pd.concat([pd.Series(years, name="Year"), f], axis=1)
    )


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


THREE_YEARS = result(
    [2001, 2002, 2003], Hydro=[50.0, 40.0, 30.0], Solar=[0.0, 0.0, 0.01], Wind=[1.0, 2.0, 7.25]
)


def test_texts() -> None:
    written = texts(draw_chart(THREE_YEARS, "Cote d'Ivoire", "Data: a.csv"))

    assert "Cote d'Ivoire, 2001–2003" in written  # noqa: RUF001
    assert "Share of electricity from hydro, solar and wind" in written
    assert "Data: a.csv." in written
    assert {"Hydro 30.0 %", "Solar <0.1 %", "Wind 7.2 %", "Total in 2003: 37.3 %"} <= set(written)


def test_line_is_the_total() -> None:
    (axes,) = draw_chart(THREE_YEARS, "A", "").axes
    (line,) = axes.lines

    assert list(np.asarray(line.get_xdata())) == [2001, 2002, 2003]
    assert list(np.asarray(line.get_ydata())) == pytest.approx([51.0, 42.0, 37.26])


def test_gaps_stay_gaps() -> None:
    frame = result([2001, 2002, 2004, 2006], Hydro=[1.0, 2.0, 3.0, NAN], Solar=[1.0, 2.0, 3.0, 4.0])

    figure = draw_chart(frame, "A", "Data: a.csv")

    (axes,) = figure.axes
    assert [list(np.asarray(line.get_ydata())) for line in axes.lines] == [[2, 4], [6, 6]]
    assert axes.get_xlim()[1] >= 2006
    assert "Total in 2004: 6.0 %" in texts(figure)
    assert (
        "Data: a.csv.\n2003 is left out: no data for hydro and solar. "
        "2005 is left out: no data for hydro and solar. 2006 is left out: no data for hydro."
    ) in [text.replace("\n2005", " 2005") for text in texts(figure)]


def test_source_without_data_is_named() -> None:
    written = texts(draw_chart(result([2001, 2002], Hydro=[1.0, 2.0], Wind=[NAN, NAN]), "A", ""))

    assert {"Hydro 2.0 %", "Wind: no data", "In 2002"} <= set(written)
    assert any("No total: no data for wind." in text for text in written)


def test_no_year_is_complete() -> None:
    frame = result([2001, 2002], Hydro=[1.0, NAN], Wind=[NAN, 1.0])

    assert "No year has a value from every source" in texts(draw_chart(frame, "A", ""))


@pytest.mark.parametrize("highest", [0.0, 0.004, 0.3, 7.0, 79.0, 99.9, 100.0])
def test_axis_holds_the_highest_share(highest: float) -> None:
    (axes,) = draw_chart(result([2001, 2002], Hydro=[0.0, highest]), "A", "").axes

    low, high = axes.get_ylim()
    assert low == 0
    assert highest <= high <= max(2.6 * highest, 1.0)
    assert high <= 100


@pytest.mark.parametrize("sources", range(1, 9))
@pytest.mark.parametrize("years", [1, 2, 37])
def test_nothing_is_cut_off_and_no_label_covers_another(sources: int, years: int) -> None:
    names = ["Hydro", "Wind", "Solar", *[f"{n} energy and some renewable waste" for n in range(5)]]
    shares = {name: [0.01] * years for name in names[:sources]}
    frame = result(list(range(1985, 1985 + years)), **shares)

    figure = draw_chart(frame, "Democratic Republic of a Country with a Very Long Name", "Data: x")

    boxes = [text.get_window_extent() for text in figure.texts]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(1, 30)), min_size=1, max_size=10),
    st.floats(0, 50),
)
def test_spread_keeps_order_distance_and_bounds(
    labels: list[tuple[float, float]], low: float
) -> None:
    centres, heights = [list(part) for part in zip(*sorted(labels), strict=True)]

    moved = spread(centres, heights, low, 500)

    below = moved - np.divide(heights, 2)
    above = moved + np.divide(heights, 2)
    assert below[0] >= low - 1e-6
    assert all(below[1:] >= above[:-1] - 1e-6)
    assert above[-1] <= max(500, low + sum(heights)) + 1e-6


def test_spread_leaves_labels_with_room_alone() -> None:
    assert list(spread([100, 200, 300], [20, 20, 20], 0, 400)) == [100, 200, 300]


def test_spread_parts_a_crowd_evenly() -> None:
    assert list(spread([100, 100, 100], [20, 20, 20], 0, 400)) == [80, 100, 120]


def test_drawing_in_threads_gives_the_same_pictures() -> None:
    countries = [f"Country {number}" for number in range(6)]
    one_by_one = [render_png(THREE_YEARS, country, "") for country in countries]

    with ThreadPoolExecutor(6) as threads:
        at_once = list(threads.map(lambda c: render_png(THREE_YEARS, c, ""), countries))

    assert at_once == one_by_one
    assert len(set(at_once)) == 6


@pytest.mark.usefixtures("prefect_api")
def test_plot_share_writes_both_files(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cote-d-ivoire.csv").write_text("old")

    files = plot_share(THREE_YEARS, "Cote d'Ivoire", "Data: a.csv", tmp_path / "out")

    assert sorted((tmp_path / "out").iterdir()) == [files.data, files.chart]
    assert struct.unpack(">II", files.chart.read_bytes()[16:24]) == (1600, 960)
    pd.testing.assert_frame_equal(pd.read_csv(files.data), THREE_YEARS)


@pytest.mark.parametrize(
    ("sources", "note"),
    [
        ([str(path) for path in SAMPLE], "Synthetic sample data, not real measurements"),
        (
            ["data/share-electricity-hydro.csv", "https://x.org/a/share-electricity-wind.csv?v=1"],
            "Data: Our World in Data, CC BY 4.0 "
            "(share-electricity-hydro.csv, share-electricity-wind.csv)",
        ),
        (
            ["/a/my file.csv", "https://user:secret@x.org/my%20other.csv?token=secret"],
            "Data: my file.csv, my other.csv; licence: see the source",
        ),
        (
            [str(SAMPLE[0]), "share-electricity-wind.csv", "x.csv"],
            "Synthetic sample data, not real measurements. "
            "Data: Our World in Data, CC BY 4.0 (share-electricity-wind.csv). "
            "Data: x.csv; licence: see the source",
        ),
    ],
)
def test_attribution(sources: list[str], note: str) -> None:
    assert attribution(sources) == note
