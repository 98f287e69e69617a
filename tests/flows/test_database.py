"""What the database tasks decide."""

import psycopg
import pytest
from prefect.client.schemas.objects import State
from prefect.states import Failed
from sqlalchemy.exc import OperationalError

from flows.countries import unknown_country
from flows.database import check_country, load_table, select_country
from flows.download import SourceUnavailableError
from flows.sources import SourceError
from flows.temporary_tables import CountrySubset

KNOWN = ["Cote d'Ivoire", "Ireland", "Norway", "Switzerland"]


def test_an_unknown_country_is_one_sentence_with_the_nearest_names() -> None:
    assert unknown_country("Swizerland", KNOWN) == (
        "No source has a country 'Swizerland'. Did you mean Switzerland or Ireland?"
    )
    assert unknown_country("x\n" * 100, KNOWN) == (
        "No source has a country '" + r"x\n" * 29 + "x…', nor one of a similar name."
    )


def test_one_source_that_has_the_country_is_enough() -> None:
    with_rows = CountrySubset("t", "Hydro (% electricity)", "Hydro", (2000,))
    without = CountrySubset("u", "Wind (% electricity)", "Wind", ())
    check_country("Norway", [without, with_rows], "not-needed", [])


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (SourceUnavailableError("busy"), True),
        (OperationalError("SELECT 1", {}, Exception("database is locked")), True),
        (psycopg.OperationalError("connection lost during COPY"), True),
        (SourceError("line 4 is bad"), False),
        (psycopg.errors.InsufficientPrivilege("no CREATE here"), False),
        (KeyError("a bug"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(failure: Exception, again: bool) -> None:
    state: State[object] = Failed(data=failure)
    for task in (load_table, select_country):
        assert task.retries == 2
        assert task.retry_condition_fn is not None
        assert task.retry_condition_fn(task, None, state) is again  # type: ignore[arg-type] # the run is not looked at
