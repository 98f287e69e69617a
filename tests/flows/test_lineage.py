"""Keys of assets: what Prefect accepts, where the data is, and no secret."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.assets import Asset
from sqlalchemy import make_url

from flows.lineage import asset_key, chart_asset, result_asset, source_asset, subset_asset


@given(st.text())
def test_prefect_accepts_every_key(text: str) -> None:
    assert Asset(key=asset_key(f"s3://bucket/{text}")).key.startswith("s3://bucket/")


@given(st.text(min_size=1))
def test_every_source_has_an_asset(source: str) -> None:
    assert "://" in source_asset(source).key


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("https://user:secret@x.org/a%20b.csv?token=secret", "https://x.org/a_20b.csv"),
        ("HTTP://x.org/a.csv", "http://x.org/a.csv"),
        ("/data/my file.csv", "file:///data/my_file.csv"),
    ],
)
def test_source(source: str, key: str) -> None:
    assert source_asset(source).key == key


def test_subset_is_the_same_for_every_run() -> None:
    one, other = (
        subset_asset(f"s3://b/country_subset/norway/{run}", "Norway") for run in ("a", "b")
    )

    assert one.key == other.key == "s3://b/country_subset/norway"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("postgresql+psycopg://me:secret@db:5432/x", "postgresql://db:5432/x/renewable_share"),
        ("sqlite:////data/x.db", "sqlite:////data/x.db/renewable_share"),
    ],
)
def test_result_has_no_password(url: str, key: str) -> None:
    assert result_asset(make_url(url)).key == key


def test_chart_is_a_file_of_this_machine() -> None:
    assert chart_asset("Cote d'Ivoire", "/out").key == "file:///out/cote-d-ivoire.png"
    assert chart_asset("Norway", "out").key == f"file://{Path.cwd().as_posix()}/out/norway.png"
