"""How parameters read in the run form of the Prefect UI, and what it refuses.

Their help texts are the ``Args`` of the flow's docstring, their order is that of its signature.
"""

from typing import Annotated, Any

from pydantic import Field

Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
"""A text that says something: neither empty nor blank."""


def titled(title: str) -> Any:  # noqa: ANN401  # what pydantic.Field returns
    """Return the annotation that shows a parameter under a title instead of its Python name."""
    # Prefect sets `title` itself, to the parameter's name; the extra wins over it.
    return Field(json_schema_extra={"title": title})
