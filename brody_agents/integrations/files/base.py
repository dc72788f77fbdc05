"""Files: the neutral form of a document and the protocol of a file account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from brody_agents.integrations.base import Provider


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file as an account holds it; ``key`` is its relative path with ``/``, ``version`` its ETag."""

    key: str
    version: str
    name: str
    media_type: str
    size: int
    modified: datetime
    text: str = ""
    """Its text where the type has any (txt, md, html, pdf, docx), at most 200,000 characters."""
    title: str = ""
    problem: str = ""
    """Why there is no text although the type should have some (a broken PDF); the file itself is still listed."""


class FileProvider(Provider[RawFile], Protocol):
    """A file account. Writes carry the ETag that was read and raise ``Stale`` when it has changed."""

    async def read(self, key: str) -> bytes:
        """Return the content of a file, or raise ``NotFound``."""

    async def version(self, key: str) -> str:
        """Return the ETag that a file has now, or raise ``NotFound``."""

    async def write(self, key: str, data: bytes, version: str | None) -> str:
        """Write a file as a whole; ``version=None`` means that it must not exist yet. Return the new ETag."""

    async def move(self, key: str, to: str, version: str | None) -> str:
        """Move a file; the target must not exist. Return the new key."""

    async def delete(self, key: str, version: str | None) -> None:
        """Remove a file."""
