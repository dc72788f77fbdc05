"""Attachments go where files like them are; what is like nothing, and what is no document, goes nowhere."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.integrations.mail.base import Address, Attachment
from brody_agents.items import DocumentItem, MailItem
from brody_file.attachments import MOST, Known, is_document, known, loaded, merged
from brody_file.filing import Place, file_name, is_filed, place_of, query_of
from brody_file.index import Entry, Index
from brody_file.words import term_counts

MAY = datetime(2026, 5, 11, 9, tzinfo=UTC)
FOLDER = {
    "invoices/2025/2025-11-hooli.pdf": "Invoice Hooli hosting",
    "invoices/2026/2026-03-acme.pdf": "Invoice 4711 Acme total",
    "invoices/2026/2026-04-acme.pdf": "Invoice 4790 Acme total",
    "contracts/globex-agreement-2026.pdf": "Agreement Globex GmbH Tomas Berg",
    "contracts/initech-nda.pdf": "Non-disclosure agreement Initech",
    "notes/board-minutes-2026-03.md": "Minutes board meeting",
    "notes/board-minutes-2026-04.md": "Minutes board meeting Anna Kern Petra Vogel budget approved",
    "travel/hotel-lisbon.pdf": "Hotel booking Lisbon",
    "hr/payslip-2026-03.pdf": "Payslip March net gross",
    "hr/payslip-2026-04.pdf": "Payslip April net gross",
    "photos/team.jpg": "",
}


def mail(name: str, subject: str, sender: str, at: datetime = MAY, media_type: str = "application/pdf") -> MailItem:
    return MailItem(
        id=f"mail of {name}",
        account="eml:x",
        key=name,
        version="1",
        message_id=name,
        subject=subject,
        sender=Address(sender.lower()),
        to=(Address("me@home.example"),),
        received_at=at,
        attachments=(Attachment(2, name, media_type, 50_000, f"hash of {name}"),),
    )


def attachment(name: str, subject: str = "", sender: str = "x@y.example", at: datetime = MAY) -> Known:
    [found] = known(mail(name, subject, sender, at), frozenset({"me@home.example"})).values()
    return found


def documents() -> list[DocumentItem]:
    return [
        DocumentItem(
            id=path,
            account="dir:x",
            key=path,
            version="1",
            name=path.rpartition("/")[2],
            media_type="application/pdf",
            size=1000,
            modified=MAY,
            text=text,
        )
        for path, text in FOLDER.items()
    ]


def place(wanted: Known) -> Place | None:
    entries = []
    for path, text in FOLDER.items():
        [(counts, length)] = term_counts([text], query_of(wanted).wanted())
        entries.append(Entry(path, path.rpartition("/")[2], path.rpartition("/")[0], counts=counts, length=length))
    folders = {path: path.rpartition("/")[0] for path in FOLDER}
    return place_of(wanted, Index(entries), folders, frozenset(FOLDER))


@pytest.mark.parametrize(
    ("name", "subject", "sender", "path"),
    [
        ("invoice-5120.pdf", "Your invoice for May", "billing@acme.example", "invoices/2026/invoice-5120.pdf"),
        ("rechnung 05.pdf", "Hooli invoice", "rechnung@hooli.example", "invoices/2026/rechnung 05.pdf"),
        ("Globex annex B.pdf", "Annex to the agreement", "tomas.berg@globex.example", "contracts/Globex annex B.pdf"),
        ("board-minutes-2026-05.md", "Minutes", "petra@x.example", "notes/board-minutes-2026-05.md"),
        ("payslip-2026-05.pdf", "Payslip May", "hr@us.example", "hr/payslip-2026-05.pdf"),
    ],
)
def test_an_attachment_goes_where_files_like_it_are(name: str, subject: str, sender: str, path: str) -> None:
    found = place(attachment(name, subject, sender))
    assert found is not None
    assert found.path == path
    assert found.why.startswith("It is like ")


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("menu.pdf", "Lunch"),
        ("cv.pdf", "Application"),
        ("scan.pdf", ""),
        ("document.pdf", "Fwd: hello"),
        ("boarding-pass.pdf", "Your flight to Lisbon"),
    ],
)
def test_what_is_like_nothing_goes_nowhere(name: str, subject: str) -> None:
    assert place(attachment(name, subject, "somebody@elsewhere.example")) is None


def test_a_folder_of_a_year_is_that_of_the_mail() -> None:
    found = place(attachment("invoice.pdf", "Acme invoice", "a@acme.example", datetime(2027, 1, 2, tzinfo=UTC)))
    assert found is not None
    assert found.path == "invoices/2027/invoice.pdf"


def test_a_name_that_is_taken_gets_the_day() -> None:
    found = place(attachment("2026-04-ACME.pdf", "Acme invoice", "a@acme.example"))
    assert found is not None
    assert found.path == "invoices/2026/2026-04-ACME 2026-05-11.pdf"


def test_a_file_of_the_same_name_and_size_is_the_same() -> None:
    [there] = [d for d in documents() if d.name == "hotel-lisbon.pdf"]
    same = known(mail("hotel-lisbon.pdf", "", "x@y.example"), frozenset())
    [wanted] = same.values()
    assert not is_filed(wanted, [there])
    assert is_filed(wanted, [DocumentItem(**{name: getattr(there, name) for name in _FIELDS} | {"size": 50_000})])


_FIELDS = ("id", "account", "key", "version", "name", "media_type", "modified")


@pytest.mark.parametrize(
    ("name", "media_type", "size", "document"),
    [
        ("contract.pdf", "application/pdf", 900, True),
        ("IMG_2041.jpg", "image/jpeg", 2_000_000, True),
        ("partnership.pdf", "application/pdf", 900, True),
        ("image001.png", "image/png", 400_000, False),
        ("logo.gif", "image/gif", 90_000, False),
        ("chart.png", "image/png", 5_000, False),
        ("invite.ics", "text/calendar", 900, False),
        ("smime.p7s", "application/pkcs7-signature", 900, False),
        ("signature.asc", "application/pgp-signature", 900, False),
        ("winmail.dat", "application/ms-tnef", 900, False),
        ("setup.exe", "application/octet-stream", 900, False),
        ("", "application/pdf", 900, False),
        ("empty.pdf", "application/pdf", 0, False),
    ],
)
def test_pictures_signatures_calendars_and_programs_are_no_documents(
    name: str, media_type: str, size: int, document: bool
) -> None:
    assert is_document(Attachment(1, name, media_type, size, "")) is document


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("..", "attachment"),
        (".bashrc", "bashrc"),
        ("a\x00b\n.pdf", "ab.pdf"),
        ("C:\\x.pdf", "x.pdf"),
        ("what? <now>.pdf", "what_ _now_.pdf"),
        ("a/", "a"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
    ],
)
def test_a_name_that_others_chose_is_made_safe(name: str, safe: str) -> None:
    assert file_name(name) == safe


@settings(deadline=None)
@given(st.text() | st.text(min_size=200, max_size=300))
def test_any_name_becomes_one_visible_segment(name: str) -> None:
    safe = file_name(name)
    assert safe
    assert not set(safe) & set('/\\\x00\n<>:"|?*')
    assert safe[0] not in ". "
    assert safe[-1] not in ". "
    assert len(safe.encode()) <= 255
    assert file_name(safe) == safe


_KNOWN = st.builds(
    lambda key, day: Known(
        key, f"m{key}", 1, "a.pdf", "application/pdf", 1, "h", "s", "x@y.example", ("x@y.example",), day
    ),
    st.integers(0, 30).map(str),
    st.integers(1, 28).map(lambda day: f"2026-05-{day:02}T00:00:00+00:00"),
)


@settings(deadline=None)
@given(st.lists(_KNOWN, max_size=20, unique_by=lambda a: a.id), st.integers(0, 20))
def test_what_is_kept_does_not_depend_on_how_it_arrived(attachments: list[Known], cut: int) -> None:
    at_once = merged(None, attachments)
    assert merged(merged(None, attachments[cut:]), attachments[:cut]) == at_once
    assert sorted(a.id for a in loaded(at_once)) == sorted(a.id for a in attachments)


def test_only_the_newest_are_kept() -> None:
    many = [Known(f"{n:05}", "m", 1, "a", "t", 1, "h", "s", "x", (), f"2026-05-11T{n:05}") for n in range(MOST + 20)]
    kept = loaded(merged(None, many))
    assert [a.id for a in kept] == [a.id for a in reversed(many[20:])]


@pytest.mark.parametrize("stored", [None, 3, "x", {"a": 1}, [1, {"id": 2}, None]])
def test_a_shared_value_of_another_form_is_left_out(stored: object) -> None:
    assert loaded(stored) == []
