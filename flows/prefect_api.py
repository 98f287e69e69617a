"""A Prefect API that is away for a while, which must not cost a Databricks run that goes well."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from tenacity import retry, retry_if_exception, stop_before_delay, wait_exponential

_PATIENCE_SECONDS = 600


def is_away(error: BaseException) -> bool:
    """Say whether the API cannot be reached, or cannot answer, and may do so a little later."""
    if isinstance(error, PrefectHTTPStatusError):
        return error.response.status_code >= 500
    # The first contact of a process: Prefect asks for the API's version, and hides why it failed.
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        return is_away(error.__cause__)
    return isinstance(error, httpx.TransportError)


# For what a flow run cannot go on without. Prefect's client tries again by itself for a minute, but
# not after a 500, and a server may take longer to come back.
patiently = retry(
    retry=retry_if_exception(is_away),
    stop=stop_before_delay(_PATIENCE_SECONDS),
    wait=wait_exponential(multiplier=0.5, max=15),
    reraise=True,
)


@contextmanager
def unless_away(what: str) -> Iterator[None]:
    """Do without something that is only for people to look at while the API is away.

    Args:
        what: What is missing then; it goes into the log.
    """
    try:
        # Prefect's client would try for a minute, in which nobody watches the run.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            yield
    except Exception as error:
        if not is_away(error):
            raise
        get_run_logger().warning("The Prefect API is away; %s is not shown.", what)
