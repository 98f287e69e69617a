"""Whether the stand-ins can run here: their packages are the extra ``local`` of this project."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from blocks.local.children import StackError


def check_installed(command: str) -> None:
    """Check that the packages of the embedded stack are installed.

    Args:
        command: What the user typed, without a program that runs it.

    Raises:
        StackError: Some are not.
    """
    if missing := [name for name in _packages() if not _installed(name)]:
        raise StackError(
            f"The embedded stack is not installed; missing are {', '.join(missing)}. "
            f"In the project's folder, this installs them and goes on: uv run {command}"
        )


def _packages() -> list[str]:
    with_extra = {"extra": "local"}
    requirements = map(Requirement, requires("renewables") or [])
    return [each.name for each in requirements if each.marker and each.marker.evaluate(with_extra)]


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
