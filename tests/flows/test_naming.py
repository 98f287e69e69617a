"""Names are harmless whatever goes in."""

import re
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from flows.naming import run_key, slug
from flows.object_storage import RunFolders


@given(st.text())
def test_a_slug_is_always_safe(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?", slug(text))


def test_a_slug_can_be_read() -> None:
    assert slug("Côte d'Ivoire") == "cote-d-ivoire"
    assert slug("../../etc/passwd") == "etc-passwd"


@given(st.uuids(), st.uuids(), st.text())
def test_two_runs_never_share_a_folder(one: UUID, other: UUID, country: str) -> None:
    keys = {RunFolders(country, run_key(each)).key("joined_data") for each in (one, other)}
    assert len(keys) == len({one, other})
