"""The process of a Spark cluster: prints its Spark Connect URL, ends when its input closes."""

from __future__ import annotations

import os
import sys
import tempfile

from pysail.spark import SparkConnectServer


def main() -> None:
    """Serve Spark Connect on a free port of the loopback interface."""
    # Tables without a location land in the working directory; they live as long as the cluster.
    with tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        server = SparkConnectServer("127.0.0.1", 0)
        server.start(background=True)
        host, port = server.listening_address
        print(f"sc://{host}:{port}", flush=True)
        sys.stdin.read()
        server.stop()


if __name__ == "__main__":
    main()
