"""The packaged sample: three small source files of synthetic data, made by ``generate``."""

from pathlib import Path

SAMPLE: tuple[Path, ...] = tuple(
    Path(__file__).with_name(name)
    for name in ("synthetic-hydro.csv", "synthetic-solar.csv", "synthetic-wind.csv")
)
