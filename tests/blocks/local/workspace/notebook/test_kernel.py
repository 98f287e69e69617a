"""What a notebook does, cell by cell."""

from __future__ import annotations

import base64

import pytest

from blocks.local.workspace.notebook.contract import CellOutput, Output
from blocks.local.workspace.notebook.outputs import STDERR, STDOUT
from tests.blocks.local.workspace.notebook.desk import Desk, printed, source


def test_cells_run_in_one_namespace_until_one_fails(desk: Desk) -> None:
    outcome = desk.run(
        "x = 1\nprint(x)",
        "# DBTITLE 1,It fails\ndef boom():\n    raise ValueError('boom\\nand more')",
        "boom()",
        "print('never')",
    )
    assert outcome.status == "failed"
    assert outcome.error == "ValueError: boom"
    assert outcome.error_trace.splitlines() == [
        "Traceback (most recent call last):",
        '  File "/Shared/renewables/main, cell 3", line 1, in <module>',
        "    boom()",
        '  File "/Shared/renewables/main, cell 2", line 2, in boom',
        "    raise ValueError('boom\\nand more')",
        "ValueError: boom",
        "and more",
    ]
    assert [cell.error for cell in outcome.cells] == ["", "", "ValueError: boom", ""]
    assert [bool(cell.started) for cell in outcome.cells] == [True, True, True, False]
    assert outcome.cells[0].outputs == (Output(STDOUT, "1\n"),)
    assert outcome.cells[1].title == "It fails"
    assert outcome.cells[2].outputs == ()


def test_each_cell_is_announced_when_it_starts_and_when_it_finishes(desk: Desk) -> None:
    outcome = desk.run("1 + 1", "1 / 0", "2")
    assert [(cell.index, bool(cell.finished)) for cell in desk.changes] == [
        (0, False),
        (0, True),
        (1, False),
        (1, True),
    ]
    assert desk.changes[1] == outcome.cells[0]
    assert desk.changes[3] == outcome.cells[1]


def outputs(cells: tuple[CellOutput, ...]) -> list[tuple[str, str]]:
    return [(output.mime_type, output.data) for cell in cells for output in cell.outputs]


def test_printed_and_displayed_things_keep_their_order(desk: Desk) -> None:
    outcome = desk.run(
        "import sys\n"
        "print('one')\n"
        "display('two')\n"
        "print('three', file=sys.stderr)\n"
        "displayHTML('<b>four</b>')\n"
        "5",
        "6;",
    )
    assert outputs(outcome.cells) == [
        (STDOUT, "one\n"),
        ("text/plain", "'two'"),
        (STDERR, "three\n"),
        ("text/html", "<b>four</b>"),
        ("text/plain", "5"),
    ]


def test_a_figure_is_an_image_of_its_cell(desk: Desk) -> None:
    outcome = desk.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nNone")
    ((mime_type, data),) = outputs(outcome.cells)
    assert mime_type == "image/png"
    assert base64.b64decode(data).startswith(b"\x89PNG")


def test_data_frames_are_shown_as_escaped_tables(desk: Desk) -> None:
    outcome = desk.run(
        "df = spark.createDataFrame([('<b>', 1), (None, 2)], ['a&b', 'n'])\ndisplay(df)",
        "display(df.toPandas())",
    )
    table = (
        "<table><thead><tr><th>a&amp;b</th><th>n</th></tr></thead><tbody>"
        "<tr><td>&lt;b&gt;</td><td>1</td></tr><tr><td>null</td><td>2</td></tr></tbody></table>"
    )
    assert outputs(outcome.cells) == [("text/html", table)] * 2


def test_a_long_data_frame_is_cut_off_and_says_so(desk: Desk) -> None:
    outcome = desk.run("display(spark.range(1000))", "display(spark.range(1001))")
    whole, cut_off = (data for _, data in outputs(outcome.cells))
    assert whole.count("<td>") == cut_off.count("<td>") == 1000
    assert "<caption>" not in whole
    assert "<caption>The first 1,000 rows</caption>" in cut_off


def test_sql_shows_its_result_and_leaves_it_in_a_variable(desk: Desk) -> None:
    outcome = desk.run(
        "# MAGIC %sql\n# MAGIC select 1 as one\n# MAGIC union all\n# MAGIC select 2;",
        "print(_sqldf.count(), table, sql('select 3 as x').first().x)",
    )
    assert outcome.cells[0].language == "sql"
    assert "<td>1</td>" in outcome.cells[0].outputs[0].data
    assert printed(outcome).startswith("2 ")
    assert printed(outcome).endswith(" 3\n")


def test_errors_of_spark_are_in_its_own_words_and_on_one_line(desk: Desk) -> None:
    outcome = desk.run("# MAGIC %sql select * from nowhere")
    assert outcome.error.startswith("AnalysisException: ")
    assert "[TABLE_OR_VIEW_NOT_FOUND]" in outcome.error
    assert "\n" not in outcome.error
    outcome = desk.run("spark.range(1).select('nothing').collect()")
    assert outcome.error.startswith("AnalysisException: ")
    assert outcome.error_trace.splitlines()[1:3] == [
        '  File "/Shared/renewables/main, cell 1", line 1, in <module>',
        "    spark.range(1).select('nothing').collect()",
    ]
    assert "site-packages" not in outcome.error_trace


def test_a_function_of_the_notebook_runs_on_the_cluster(desk: Desk) -> None:
    code = (
        "def plus(x):\n    return x + 1\n"
        "plus_udf = udf(plus, 'long')\n"
        "print([row[0] for row in spark.range(2).select(plus_udf('id')).collect()])"
    )
    assert printed(desk.run(code)) == "[1, 2]\n"


def test_causes_are_part_of_the_trace(desk: Desk) -> None:
    outcome = desk.run("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e")
    assert "KeyError: 'a'" in outcome.error_trace
    assert "The above exception was the direct cause" in outcome.error_trace


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("x = (", "SyntaxError: "),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("sc", "NameError: name 'sc' is not defined"),
        ("input()", "EOFError"),
        ("# MAGIC %sh ls", "UnsupportedError: The local workspace runs Python and SQL cells"),
        ("# MAGIC %scala val x = 1", "UnsupportedError: The local workspace runs Python and SQL"),
        ("# MAGIC !ls", "UnsupportedError: The local workspace runs no shell commands: !ls"),
        ("# MAGIC %run", "UnsupportedError: %run takes the path of one notebook"),
        ("# MAGIC %run ./missing", "FileNotFoundError: Notebook not found: /Shared/renewables/mis"),
        ("# MAGIC %nosuchmagic", "UsageError: "),
    ],
)
def test_how_a_cell_can_fail(desk: Desk, code: str, error: str) -> None:
    outcome = desk.run(code, "print('never')")
    assert outcome.status == "failed"
    assert outcome.error.startswith(error)
    assert outcome.cells[0].error == outcome.error
    assert not outcome.cells[1].started
    assert "\x1b" not in outcome.error_trace


def test_a_broken_notebook_fails_without_running(desk: Desk) -> None:
    desk.notebooks["/Shared/renewables/script"] = "print('not a notebook')"
    outcome = desk.run("# MAGIC %run ./script")
    assert outcome.error.startswith("NotebookFormatError: /Shared/renewables/script is not a note")


def test_run_shares_the_namespace_and_finds_paths_from_the_folder(desk: Desk) -> None:
    desk.notebooks["/Shared/lib/helpers"] = source(
        "# MAGIC %md Helpers", "# MAGIC %run ./more", "print('helpers of', name)"
    )
    desk.notebooks["/Shared/lib/more"] = source("name = 'Norway'", "def f():\n    return 1 / 0")
    outcome = desk.run('# MAGIC %run "../lib/helpers"  # the names', "print(name)", "f()")
    assert outcome.cells[0].language == "run"
    assert outputs(outcome.cells) == [
        ("text/markdown", "Helpers"),
        (STDOUT, "helpers of Norway\n"),
        (STDOUT, "Norway\n"),
    ]
    assert '  File "/Shared/lib/more, cell 2", line 2, in f' in outcome.error_trace


def test_a_notebook_that_runs_itself_is_stopped(desk: Desk) -> None:
    desk.notebooks["/Shared/a"] = source("# MAGIC %run ./b")
    desk.notebooks["/Shared/b"] = source("# MAGIC %run ./a")
    outcome = desk.run("# MAGIC %run /Shared/a")
    assert outcome.error == "RecursionError: %run of a notebook that is running: /Shared/a"


def test_pip_says_that_nothing_was_installed(desk: Desk) -> None:
    outcome = desk.run(
        "x = 1",
        "# MAGIC %pip install nothing==1\ndbutils.library.restartPython()\nprint('after')",
        "print('x' in globals(), spark.range(2).count(), dbutils.widgets.get('country'))",
        country="Norway",
    )
    assert outcome.cells[1].language == "pip"
    first, *others = printed(outcome).splitlines()
    assert first.startswith("%pip install nothing==1: not installed.")
    assert others == ["after", "False 2 Norway"]


def test_top_level_await_and_magics_of_ipython_work(desk: Desk) -> None:
    outcome = desk.run("import asyncio\nprint(await asyncio.sleep(0, 'slept'))", "%%time\ny = 2")
    assert "slept" in printed(outcome)
    assert "Wall time" in printed(outcome)
