"""Git repositories on this machine, read with the ``git`` program; nothing is checked out."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

_SECONDS = 30


class GitError(Exception):
    """The repository or the revision cannot be read; the text is Git's own."""


def repository(git_source: Mapping[str, str]) -> str:
    """Return the folder of the repository that ``git_source`` names."""
    return unquote(urlsplit(git_source["git_url"]).path)


def commit_of(git_source: Mapping[str, str]) -> str:
    """Return the commit that ``git_source`` stands for at this moment.

    Raises:
        GitError: There is no such repository, branch, tag or commit.
    """
    if branch := git_source.get("git_branch"):
        revision = f"refs/heads/{branch}"
    elif tag := git_source.get("git_tag"):
        revision = f"refs/tags/{tag}"
    else:
        revision = git_source["git_commit"]
    arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    try:
        return _git(repository(git_source), *arguments).decode().strip()
    except GitError as error:
        reason = str(error) or f"{revision} is not in the repository"
        raise GitError(f"{git_source['git_url']}: {reason}") from None


def read(folder: str, commit: str, path: str) -> bytes:
    """Return the content of a file in a commit.

    Args:
        folder: Of the repository.
        commit: Its full name.
        path: Relative to the top of the repository.

    Raises:
        KeyError: The commit has no such file.
    """
    try:
        # Plumbing: it applies no filters and runs no programs that the repository names.
        return _git(folder, "cat-file", "blob", f"{commit}:{path}")
    except GitError:
        raise KeyError(path) from None


def _git(folder: str, *arguments: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 (no shell; revisions cannot be taken for options)
            ["git", "-C", folder, *arguments],  # noqa: S607 (the one on PATH)
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise GitError(str(error)) from None
    if done.returncode:
        raise GitError(done.stderr.decode(errors="replace").strip().removeprefix("fatal: "))
    return done.stdout
