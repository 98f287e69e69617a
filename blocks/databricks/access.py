"""What lets requests through: the stock credentials block, and the OAuth tokens that it gets."""

from __future__ import annotations

import re

import anyio
import anyio.to_thread
import httpx
from prefect_databricks import DatabricksCredentials
from pydantic import SecretStr

from blocks.databricks.answers import no_answer
from blocks.databricks.errors import CREDENTIALS_BLOCK, CredentialsError, NoTokenError
from blocks.databricks.redaction import redact

_HOST = re.compile(r"([\w-]{1,63}\.)*[\w-]{1,63}(:\d{1,5})?|\[[\da-fA-F:.]+\](:\d{1,5})?")
_HEADER_VALUE = re.compile(r"[!-~]+")


class Access:
    """The access that a credentials block gives.

    Args:
        credentials: The block.
        seconds: How long a request for a token may take.
    """

    def __init__(self, credentials: DatabricksCredentials, seconds: float) -> None:
        self._credentials = credentials
        self._seconds = seconds

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never show."""
        held = (self._credentials.token, self._credentials.client_secret)
        given = [secret.get_secret_value().strip() for secret in held if secret]
        return (*given, str(self._credentials._cached_token or ""))

    @property
    def renewable(self) -> bool:
        """True when the token can be had anew, as a personal access token cannot."""
        return self._credentials.token is None

    def new_http(self, token: str) -> httpx.AsyncClient:
        """Return the block's client, with a token, so that it asks for none of its own.

        Raises:
            CredentialsError: The block has ``client_kwargs`` that cannot be used.
        """
        with_token = {"token": SecretStr(token), "client_id": None}
        try:
            http: httpx.AsyncClient = self._credentials.model_copy(update=with_token).get_client()
        except (ValueError, TypeError, OSError) as error:
            reason = redact(str(error), self.secrets)
            raise CredentialsError(
                f"client_kwargs of {CREDENTIALS_BLOCK} cannot be used: {reason}."
            ) from None
        return http

    def forget_token(self) -> None:
        """Have a new OAuth token asked for. The block keeps one until its last minute."""
        self._credentials._cached_token = None

    async def token(self) -> str:
        """Return the personal access token, or an OAuth token.

        Raises:
            CredentialsError: The block cannot work.
            NoTokenError: No OAuth token could be had for now.
        """
        credentials = self._credentials
        if not _HOST.fullmatch(credentials.databricks_instance):
            raise CredentialsError(
                f"databricks_instance of {CREDENTIALS_BLOCK} has to be a host alone, such as "
                "dbc-1234.cloud.databricks.com: without https://, a path or spaces."
            )
        if credentials.token is None:
            return await self._oauth_token()
        # It was copied from somewhere, often with the end of its line.
        token: str = credentials.token.get_secret_value().strip()
        if not _HEADER_VALUE.fullmatch(token):
            raise CredentialsError(
                f"The token of {CREDENTIALS_BLOCK} is empty, or has spaces, line breaks or other "
                "characters that no token has. Copy it again."
            )
        return token

    async def _oauth_token(self) -> str:
        """Ask for an OAuth token, unless the block has one.

        The block's own errors quote the answer, so none of their text is passed on.
        """
        credentials = self._credentials
        entra = credentials.tenant_id is not None
        host = "login.microsoftonline.com" if entra else credentials.databricks_instance
        where = f"{host} to the request for an OAuth token"
        try:
            with anyio.fail_after(self._seconds):
                token = await anyio.to_thread.run_sync(
                    credentials._get_oauth_token, abandon_on_cancel=True
                )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            failure = no_answer(error, where, self.secrets)
            raise (NoTokenError(str(failure)) if failure.transient else failure) from None
        except RuntimeError as error:
            refused = re.match(r"Failed to acquire OAuth token: (\d{3}) ", str(error))
            raise _no_token(where, int(refused[1]) if refused else None) from None
        except (ValueError, TypeError, AttributeError, OverflowError):
            raise _no_token(where, None) from None
        if not isinstance(token, str) or not _HEADER_VALUE.fullmatch(token):
            self.forget_token()
            raise _no_token(where, None)
        return token


def _no_token(where: str, status: int | None) -> CredentialsError | NoTokenError:
    """Return what to raise for an answer without a token.

    Args:
        where: The host and the request.
        status: HTTP status of a refusal; None for an answer that cannot be read.
    """
    if status is None:
        return NoTokenError(
            f"The answer from {where} had no token. If it stays so, check databricks_instance of "
            f"{CREDENTIALS_BLOCK}, and proxies."
        )
    what = f"The answer from {where} was {status}."
    if status in (408, 429) or status >= 500:
        return NoTokenError(f"{what} If it stays so, see whether Databricks has an outage.")
    return CredentialsError(
        f"{what} Check the client id, the client secret and the tenant id of {CREDENTIALS_BLOCK}."
    )
