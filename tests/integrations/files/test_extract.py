"""The text of documents."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.integrations.files import extract as module
from brody_agents.integrations.files.extract import LONGEST, Extract, extract, has_text


def pdf(text: str, title: str = "") -> bytes:
    """Write a PDF with one line of text, by hand: no library here writes any."""
    stream = f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode("latin-1")
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Title (%s) >>" % title.encode("latin-1"),
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        out
        + b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (
            table,
            len(out),
        )
    )


def docx(*paragraphs: str, title: str = "") -> bytes:
    from docx import Document

    document = Document()
    document.core_properties.title = title
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    row = document.add_table(1, 2).rows[0]
    row.cells[0].text, row.cells[1].text = "Total", "12"
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def test_every_kind_gives_its_text() -> None:
    assert extract("a.TXT", "Grüße".encode("latin-1")) == Extract("", "Grüße")
    assert extract("a.md", b"intro\n\n# The plan #\n\n## More") == Extract(
        "The plan", "intro\n\n# The plan #\n\n## More"
    )
    assert extract("a.html", b"<title>T</title><p>One<p>Two") == Extract("T", "One\n\nTwo")
    assert extract("a.pdf", pdf("Budget 2024", "The budget")) == Extract("The budget", "Budget 2024")
    assert extract("a.docx", docx("One", "Two", title="D")) == Extract("D", "One\nTwo\nTotal\t12")


def test_an_unknown_kind_has_no_text_and_no_problem() -> None:
    assert extract("a.png", b"\x89PNG") == Extract()
    assert not has_text("a.png")
    assert has_text("Report.PDF")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pdf", b"%PDF-1.4 broken"),
        ("a.pdf", pdf("x")[:200]),
        ("a.pdf", b""),
        ("a.docx", b"no zip"),
        ("a.docx", docx("x")[:-200]),
        ("a.txt", b"\x7fELF\0\0\0"),
    ],
)
def test_a_broken_document_has_a_problem(name: str, data: bytes) -> None:
    found = extract(name, data)
    assert found.problem.startswith("It cannot be read: ")
    assert not found.text


@settings(max_examples=60)
@given(st.sampled_from(["a.txt", "a.md", "a.html", "a.pdf", "a.docx"]), st.binary(max_size=300))
def test_any_bytes_give_an_answer_that_can_be_sent_and_stored(name: str, data: bytes) -> None:
    for content in (data, pdf("x")[: len(data)] + data):
        found = extract(name, content)
        for text in found:
            text.encode("utf-8")
        assert pickle.loads(pickle.dumps(found)) == found


def test_text_and_size_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(extract("a.txt", b"x" * (LONGEST + 1)).text) == LONGEST
    assert len(extract("a.docx", docx(*["y" * 50_000] * 6)).text) == LONGEST
    monkeypatch.setattr(module, "LARGEST", 10)
    assert "larger" in extract("a.txt", b"x" * 11).problem


def test_a_docx_that_unpacks_to_very_much_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("word/document.xml", b"\0" * (module.LARGEST_UNPACKED + 1))
    assert "unpacks" in extract("a.docx", stream.getvalue()).problem
