"""Which mails and attachments belong to a meeting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from brody_agents.communication.message_protocol import stable_id
from brody_agents.communication.payloads import FindDocuments, FoundDocument
from brody_agents.integrations.mail.base import Attachment
from brody_email.meetings import candidates, documents_of, find_documents

ME = frozenset({"mira@northwind.example"})
NOW = datetime(2026, 3, 6, 8, tzinfo=UTC)
DECK = Attachment(2, "Q4-roadmap-review.pdf", "application/pdf", 100, "0")
ASK = FindDocuments(
    subject_id="event-1", title="Q4 roadmap review", people=["tomas@kestrel.example", "mira@northwind.example"]
)


def found(ask: FindDocuments, mails: list[Any]) -> list[FoundDocument]:
    ids = candidates(ask, mails, ME, NOW)
    answer = find_documents(ask, {mail.id: mail for mail in mails}, ids, ME, NOW)
    assert answer.subject_id == ask.subject_id
    return answer.documents


def test_an_attachment_with_the_words_of_the_title_comes_first_and_its_mail_after_it(make_mail: Any) -> None:
    mail = make_mail("Here is the deck.", subject="Q4 roadmap review: the deck", attachments=(DECK,))
    documents = found(ASK, [make_mail("Lunch?", subject="Lunch"), mail])
    assert [document.document_id for document in documents] == [stable_id(mail.id, "attachment", "2"), mail.id]
    assert [document.name for document in documents] == ["Q4-roadmap-review.pdf", "Q4 roadmap review: the deck"]
    assert all(document.source == "email" for document in documents)
    assert documents[0].reasons == [
        'Attached to "Q4 roadmap review: the deck" of Tomas Wieland, 4 Mar 2026.',
        "It shares q4, roadmap with the title.",
        "Tomas Wieland takes part.",
    ]


def test_an_attachment_is_found_by_its_own_name_in_the_mail_of_somebody_who_comes(make_mail: Any) -> None:
    mail = make_mail("As promised.", subject="As promised", attachments=(DECK,))
    assert [document.name for document in found(ASK, [mail])] == ["Q4-roadmap-review.pdf"]


def test_words_that_every_meeting_has_prove_nothing(make_mail: Any) -> None:
    mail = make_mail("Hi.", subject="Weekly review meeting", sender="Eve <eve@x.example>")
    assert found(FindDocuments(subject_id="e", title="Q4 roadmap review", people=[]), [mail]) == []


def test_old_mail_spam_and_newsletters_are_left_out(make_mail: Any) -> None:
    subject = "Q4 roadmap review"
    mails = [
        make_mail("x", subject=subject, received_at=NOW - timedelta(days=61)),
        make_mail("x", subject=subject, category="spam"),
        make_mail("x", subject=subject, category="newsletter"),
        make_mail("x", subject=subject, flags=frozenset({"trash"})),
    ]
    assert found(ASK, mails) == []


def test_no_more_is_given_than_was_asked_for(make_mail: Any) -> None:
    mails = [make_mail("x", subject="Q4 roadmap review", attachments=(DECK,)) for _ in range(9)]
    assert len(found(ASK.model_copy(update={"limit": 3}), mails)) == 3


def test_invitations_and_signatures_are_no_documents(make_mail: Any) -> None:
    parts = [
        Attachment(i, "x", kind, 1, "0") for i, kind in enumerate(["application/ics", "application/pgp-signature"])
    ]
    assert documents_of(make_mail("x", attachments=(*parts, DECK))) == [DECK]
