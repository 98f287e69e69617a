"""Outputs: their order, their size, and what must not be in them."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.notebook.contract import Output
from blocks.local.workspace.notebook.outputs import (
    MAX_CELL_CHARACTERS,
    STDERR,
    STDOUT,
    OutputRecorder,
    Redactor,
    html_table,
)


def test_order_is_kept_and_printed_text_is_joined() -> None:
    recorder = OutputRecorder(Redactor())
    recorder.text(STDOUT, "a")
    recorder.text(STDOUT, "b")
    recorder.text(STDERR, "c")
    recorder.bundle({"text/plain": "<D>", "text/html": "<b>d</b>"})
    recorder.text(STDOUT, "e")
    assert recorder.take() == (
        Output(STDOUT, "ab"),
        Output(STDERR, "c"),
        Output("text/html", "<b>d</b>"),
        Output(STDOUT, "e"),
    )
    assert recorder.take() == ()


def test_a_secret_that_is_printed_piece_by_piece_is_redacted() -> None:
    redact = Redactor()
    redact.add("hunter2")
    redact.add("hunter2-and-more")
    redact.add("")
    recorder = OutputRecorder(redact)
    for letter in "is hunter2-and-more hunter2":
        recorder.text(STDOUT, letter)
    recorder.bundle({"text/html": "<b>hunter2</b>"})
    recorder.bundle({"image/svg+xml": "<svg>hunter2</svg>"})
    recorder.bundle({"image/png": "hunter2hunter2=="})
    assert [output.data for output in recorder.take()] == [
        "is [REDACTED] [REDACTED]",
        "<b>[REDACTED]</b>",
        "<svg>[REDACTED]</svg>",
        "hunter2hunter2==",
    ]


def test_a_cell_cannot_fill_the_memory() -> None:
    recorder = OutputRecorder(Redactor())
    for _ in range(30):
        recorder.text(STDOUT, "x" * 1_000_000)
    recorder.bundle({"text/html": "x" * 1_000_000})
    printed, shown = recorder.take()
    assert len(printed.data) < MAX_CELL_CHARACTERS + 100
    assert printed.data.endswith("… cut off after 10,000,000 characters\n")
    assert shown == Output("text/plain", "… left out: 1,000,000 characters of text/html")


class Cells(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag in {"td", "th"}:
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        self.texts[-1] += data


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=4))
def test_no_value_breaks_out_of_a_table(texts: list[str]) -> None:
    cells = Cells(html_table(texts, [texts]))
    assert cells.texts == texts + texts
    assert set(cells.tags) == {"table", "thead", "tbody", "tr", "th", "td"}


def test_null_is_told_from_the_empty_text() -> None:
    assert Cells(html_table(["a", "b", "c"], [(None, "", 0)])).texts[3:] == ["null", "", "0"]
