"""The text of documents: txt, md, html, pdf and docx; pure, for a process pool, and never raising.

What cannot be read gives a problem in place of text; the libraries are imported when a document of their kind comes.
"""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from brody_agents.integrations.charsets import clean, decode

LONGEST = 200_000
"""Characters of text that are kept."""
LARGEST = 20_000_000
"""Bytes; of a larger file no text is taken."""
MOST_PAGES = 300
MOST_PARAGRAPHS = 20_000
LARGEST_UNPACKED = 100_000_000
"""Bytes that a docx, which is a zip file, may unpack to."""


class Extract(NamedTuple):
    """Title and text of a document; ``problem`` says why there is no text although the type should have some."""

    title: str = ""
    text: str = ""
    problem: str = ""


def has_text(name: str) -> bool:
    """Say whether files of this name are read for their text."""
    return PurePosixPath(name).suffix.lower() in _READERS


def extract(name: str, data: bytes) -> Extract:
    """Return title and text of a document by its name's ending; an unknown ending has neither, and no problem."""
    reader = _READERS.get(PurePosixPath(name).suffix.lower())
    if reader is None:
        return Extract()
    if len(data) > LARGEST:
        return Extract(problem=f"It is larger than {LARGEST // 1_000_000} MB.")
    try:
        title, text = reader(data)
    except Exception as error:  # a broken document makes its library raise anything
        why = clean(str(error) or type(error).__name__)[:200].rstrip(".")
        return Extract(problem=f"It cannot be read: {why}.")
    return Extract(" ".join(clean(title).split())[:500], clean(text[: 2 * LONGEST]).strip()[:LONGEST])


def _plain(data: bytes) -> tuple[str, str]:
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("it is not text")
    return "", decode(data[: 4 * LONGEST])


def _markdown(data: bytes) -> tuple[str, str]:
    _, text = _plain(data)
    heading = re.search(r"^\s{0,3}#{1,2}\s+(\S.{0,300}?)\s*#*$", text[:5_000], re.M)
    return heading[1] if heading else "", text


def _html(data: bytes) -> tuple[str, str]:
    from brody_agents.integrations.html_text import html_text

    found = html_text(decode(data, _html_charset(data)))
    return found.title, found.text


def _html_charset(data: bytes) -> str:
    match = re.search(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]{1,40})", data[:2000], re.I)
    return match[1].decode("ascii") if match else ""


def _pdf(data: bytes) -> tuple[str, str]:
    from pypdf import PdfReader

    # The library reports each fault of a file to its logger; the text that comes out is what counts here.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("it is protected by a password")
    title = reader.metadata.title if reader.metadata else ""
    return title or "", "\n\n".join(_capped(_pdf_pages(reader)))


def _pdf_pages(reader: Any) -> Iterator[str]:
    for number in range(min(len(reader.pages), MOST_PAGES)):
        yield reader.pages[number].extract_text()


def _docx(data: bytes) -> tuple[str, str]:
    from docx import Document

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        if sum(item.file_size for item in packed.infolist()) > LARGEST_UNPACKED:
            raise ValueError(f"it unpacks to more than {LARGEST_UNPACKED // 1_000_000} MB")
    document = Document(io.BytesIO(data))
    return document.core_properties.title or "", "\n".join(_capped(_docx_lines(document)))


def _docx_lines(document: Any) -> Iterator[str]:
    for number, block in enumerate(document.iter_inner_content()):
        if number >= MOST_PARAGRAPHS:
            return
        if hasattr(block, "rows"):
            yield from ("\t".join(cell.text for cell in row.cells) for row in block.rows)
        else:
            yield block.text


def _capped(texts: Iterator[str]) -> Iterator[str]:
    left = LONGEST
    for text in texts:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


_READERS: dict[str, Callable[[bytes], tuple[str, str]]] = {
    ".txt": _plain,
    ".text": _plain,
    ".md": _markdown,
    ".markdown": _markdown,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
}
