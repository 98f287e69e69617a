"""``display`` and ``displayHTML``, as a notebook sees them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from IPython.display import display as display_object
from pyspark.sql.connect.dataframe import DataFrame

from blocks.local.workspace.notebook.outputs import OutputRecorder, html_table

MAX_ROWS = 1000
_CUT_OFF = f"The first {MAX_ROWS:,} rows"


class Display:
    """Shows objects as outputs of the cell that is running."""

    def __init__(self, recorder: OutputRecorder) -> None:
        self._recorder = recorder

    def display(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - whatever it is
        """Show objects: data frames as tables of up to 1,000 rows, all else as IPython does."""
        for shown in objects:
            if isinstance(shown, DataFrame):
                self._show_spark(shown)
            elif isinstance(shown, pd.DataFrame):
                self._show_pandas(shown)
            else:
                display_object(shown, **options)  # type: ignore[no-untyped-call]  # IPython's

    def display_html(self, html: str) -> None:
        """Show HTML as it is."""
        self._recorder.bundle({"text/html": html})

    def _show_spark(self, frame: DataFrame) -> None:
        # One row more than is shown tells whether there are more, without counting them.
        table = frame.limit(MAX_ROWS + 1).toArrow()
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        self._show_table(table.column_names, list(rows))

    def _show_pandas(self, frame: pd.DataFrame) -> None:
        rows = frame.head(MAX_ROWS + 1).itertuples(index=False, name=None)
        self._show_table([str(column) for column in frame.columns], list(rows))

    def _show_table(self, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
        note = _CUT_OFF if len(rows) > MAX_ROWS else ""
        self.display_html(html_table(columns, rows[:MAX_ROWS], note))
