"""The certificate authority of a workspace, and the certificate that it serves with."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509

_NAMES = ("localhost", "127.0.0.1", "::1")
_LEAF_LIFETIME = timedelta(days=30)
# A certificate is replaced at a start that finds less than this left of it.
_MARGIN = timedelta(days=7)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def ensure_ca(folder: Path) -> Path:
    """Make sure that the folder has a certificate authority that lasts, and return its file.

    Clients trust that file; it is made once and stays the same until it is near its end.

    Args:
        folder: Where ``ca.pem`` and its private key ``ca.key`` are kept.
    """
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not (certificate.exists() and key.exists() and _lasts(certificate.read_bytes())):
        authority = trustme.CA(organization_name="Local Databricks workspace")
        write_private(key, authority.private_key_pem.bytes())
        write_private(certificate, authority.cert_pem.bytes())
    return certificate


def server_context(folder: Path) -> ssl.SSLContext:
    """Return a TLS context for the loopback names, signed by the folder's authority.

    The certificate is kept in ``server.pem`` and made anew when it is near its end or was signed
    by another authority.
    """
    ca_file = ensure_ca(folder)
    leaf = folder / "server.pem"
    if not (leaf.exists() and _lasts(leaf.read_bytes()) and _signed(leaf, ca_file)):
        authority = trustme.CA.from_pem(ca_file.read_bytes(), (folder / "ca.key").read_bytes())
        issued = authority.issue_cert(*_NAMES, not_after=datetime.now(UTC) + _LEAF_LIFETIME)
        write_private(leaf, issued.private_key_and_cert_chain_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf)
    return context


def _lasts(pem: bytes) -> bool:
    certificate = x509.load_pem_x509_certificates(pem)[0]
    return certificate.not_valid_after_utc - datetime.now(UTC) > _MARGIN


def _signed(leaf: Path, ca_file: Path) -> bool:
    certificate = x509.load_pem_x509_certificates(leaf.read_bytes())[0]
    authority = x509.load_pem_x509_certificate(ca_file.read_bytes())
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 (whatever the doubt, a new certificate removes it)
        return False
    return True
