"""The road to a CalDAV server: the ``caldav`` library, with bounded answers, no redirects and our errors.

The library speaks the protocol and negotiates how to sign in. What it leaves open is settled here: an answer is at most
``LARGEST`` bytes; a redirect is never followed with credentials, except on the same origin while the account is looked
for; proxies and ``.netrc`` of the environment are not used; and each failure says whether the request can have had an
effect.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import niquests
from caldav.aio import AsyncDAVClient
from caldav.lib import error as dav_error
from caldav.response import DAVResponse
from niquests.packages.urllib3.exceptions import NewConnectionError  # type: ignore[import-not-found]

from brody_agents.errors import BrodyError, NotSent, OutcomeUnknown, ProviderError, ProviderUnavailable, Refused

LARGEST = 64 * 1024 * 1024
TIMEOUT = 120.0
"""Seconds for a whole request."""
_SILENCE = 30
_HOPS = 5
_BROKEN = frozenset({500, 502, 503, 504})
"""Answers that do not say whether the request was carried out."""
_WRITES = frozenset({"PUT", "DELETE"})
_SAFE = "/@:!$&'()*+,;=-._~"


class TooLarge(ProviderError):
    """A server's answer is larger than anything that a calendar should be."""

    code = "too_large"
    remedy = "Ask for less, or clear out the calendar."


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response, in the form that the library reads."""

    status_code: int
    reason: str
    headers: Any
    url: str
    content: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.content.decode("utf-8", "replace")


class _Session:
    """The library's session: answers are read up to a limit, redirects are answers."""

    def __init__(self) -> None:
        self._session = niquests.AsyncSession(disable_http3=True)
        self._session.trust_env = False

    async def request(self, method: str, url: str, **options: Any) -> Answer:
        options.update(allow_redirects=False, stream=True)
        async with await self._session.request(method, url, **options) as response:
            body = bytearray()
            async for chunk in await response.iter_content(65536):
                body += chunk
                if len(body) > LARGEST:
                    raise TooLarge(f"The answer of {urlsplit(url).netloc} is larger than {LARGEST} bytes.")
            return Answer(response.status_code or 0, response.reason or "", response.headers, url, bytes(body))

    async def close(self) -> None:
        await self._session.close()


class _Library(AsyncDAVClient):
    """The library's client on our session."""

    def _create_session(self) -> None:
        self.session = _Session()


class Client:
    """One server, with one way to sign in; every path belongs to it."""

    def __init__(self, origin: str, user: str, password: str | None) -> None:
        self.origin = origin
        self._library = _Library(
            url=origin,
            username=user or None,
            password=password,
            timeout=_SILENCE,
            ssl_verify_cert=os.environ.get("SSL_CERT_FILE") or True,
            enable_rfc6764=False,
            rate_limit_handle=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._library.close()

    async def request(
        self, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None
    ) -> DAVResponse:
        """Send a request and return the answer, whatever its status but 401, 403, 429, 503 and redirects.

        ``path`` is decoded. A lost PUT or DELETE raises ``OutcomeUnknown``, if it may have been carried out.
        """
        kind = {"Content-Type": 'application/xml; charset="utf-8"'} if body.startswith("<?xml") else {}
        try:
            async with asyncio.timeout(TIMEOUT):
                url = self.origin + encoded(path)
                answer = await self._library.request(url, method, body, {**kind, **(headers or {})})
        except BrodyError:
            raise
        except Exception as error:
            raise self._failed(method, path, error) from error
        if answer.status in (301, 302, 303, 307, 308):
            raise Redirected(answer.headers.get("Location", ""), self.origin + encoded(path))
        if answer.status in _BROKEN:
            raise self._server_error(method, path, answer.status)
        return answer

    async def follow(self, method: str, path: str, body: str, headers: Mapping[str, str]) -> tuple[str, DAVResponse]:
        """Send a request that only asks, along redirects of the same origin; return the path that answered."""
        for _ in range(_HOPS):
            try:
                return path, await self.request(method, path, body, headers)
            except Redirected as redirect:
                target = urlsplit(redirect.target)
                if f"{target.scheme}://{target.netloc}" != self.origin:
                    raise
                path = decoded(target.path)
        raise ProviderError(f"{self.origin} redirects in circles.", "Name the calendar's own URL.")

    def _server_error(self, method: str, path: str, status: int) -> BrodyError:
        what = f"{self.origin}{path} answered {status} to {method}."
        if method in _WRITES:
            return OutcomeUnknown(what, "Look whether the event is there before it is tried again.")
        return ProviderUnavailable(what, "Try again later.")

    def _failed(self, method: str, path: str, error: Exception) -> BrodyError:
        what = f"{self.origin}{path}: {_words(error)}."
        writes = method in _WRITES
        if isinstance(error, dav_error.AuthorizationError):
            remedy = "Check the user, the password and the rights of this account."
            return Denied(f"{self.origin}{path} answered {error.status or 401} {error.reason}.", remedy)
        if isinstance(error, dav_error.RateLimitError):
            return (NotSent if writes else ProviderUnavailable)(what, "It asks to wait; try again later.")
        if isinstance(error, niquests.exceptions.SSLError):
            return Refused(what, "Mend the host's name, or name its authority by SSL_CERT_FILE.")
        if isinstance(error, niquests.exceptions.ConnectTimeout) or _never_connected(error):
            what = f"{self.origin} cannot be reached."
            return (NotSent if writes else ProviderUnavailable)(what, "Nothing was changed; try again later.")
        if writes:
            return OutcomeUnknown(what, "Look whether the event is there before it is tried again.")
        if isinstance(error, (niquests.exceptions.RequestException, OSError, TimeoutError)):
            return ProviderUnavailable(what, "Try again later.")
        return ProviderError(f"{self.origin}{path} gave an answer that cannot be read: {_words(error)}.", "Try later.")


class Denied(Refused):
    """The server does not let this user do that (401, 403); nothing was changed."""

    code = "denied"


class Redirected(Refused):
    """The server sends us elsewhere, where the credentials must not follow by themselves; nothing was changed."""

    code = "redirected"

    def __init__(self, location: str, url: str) -> None:
        self.target = urljoin(url, location)
        remedy = "Use that URL for the account, if it is the one that you trust."
        super().__init__(f"{url} redirects to {self.target or 'nowhere'}.", remedy)


def encoded(path: str) -> str:
    """Return a decoded path as it stands in a URL."""
    return quote(path, safe=_SAFE)


def decoded(path: str) -> str:
    """Return the path of a URL, decoded."""
    return unquote(path)


def _never_connected(error: BaseException) -> bool:
    """Say whether the connection was never made, by what stopped the library."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, NewConnectionError):
            return True
        inner = getattr(seen, "reason", None) or next(iter(seen.args), None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__
    return False


def _words(error: BaseException) -> str:
    return str(error).rstrip(".")[:300] or type(error).__name__
