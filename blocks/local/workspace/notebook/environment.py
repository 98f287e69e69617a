"""Which environment variables the processes of a cluster get, as pure functions.

Credentials reach the Spark engine, which reads and writes object storage, and never a notebook:
that is how an instance profile works on Databricks.
"""

from __future__ import annotations

from collections.abc import Mapping

_ORDINARY = frozenset(
    {
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "PYTHONPATH",
        "SHELL",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    }
)


def ordinary_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that any program may see: paths, language, user; no settings."""
    return {
        name: value
        for name, value in environ.items()
        if name in _ORDINARY or name.startswith("LC_")
    }


def notebook_environment(environ: Mapping[str, str], spark_remote: str) -> dict[str, str]:
    """Return the environment of a notebook that is attached to the cluster ``spark_remote``."""
    return ordinary_environment(environ) | {
        # `SparkSession.builder.getOrCreate()` in a notebook gives the notebook's own session.
        "SPARK_REMOTE": spark_remote,
        # Figures become outputs of their cell as soon as pyplot is imported.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def engine_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the Spark engine: ordinary variables and ``AWS_*``.

    Sail takes its object storage settings from the variables of the ``object_store`` crate, where
    the endpoint of the AWS tools, ``AWS_ENDPOINT_URL``, is named ``AWS_ENDPOINT``, and plain HTTP
    must be allowed by ``AWS_ALLOW_HTTP``
    (https://docs.rs/object_store/latest/object_store/aws/enum.AmazonS3ConfigKey.html).
    """
    engine = ordinary_environment(environ)
    engine.update((name, value) for name, value in environ.items() if name.startswith("AWS_"))
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        engine.setdefault("AWS_ENDPOINT", endpoint)
    if engine.get("AWS_ENDPOINT", "").startswith("http://"):
        engine.setdefault("AWS_ALLOW_HTTP", "true")
    if region := environ.get("AWS_DEFAULT_REGION"):
        engine.setdefault("AWS_REGION", region)
    return engine
