"""Read mails one by one: all that the agent says of a mail before it has seen any other.

Pure and made for a process pool: plain data in, payloads out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brody_agents.communication.payloads import (
    DocumentReceived,
    EmailClassified,
    MeetingRequest,
    TaskSuggestion,
)
from brody_agents.items import MailItem
from brody_email.circumstances import Circumstances
from brody_email.look import Look
from brody_email.meetings import attachment_id, documents_of
from brody_email.tasks import suggest_tasks
from brody_email.threads import first_thread_id
from brody_email.triage import Verdict, judge

_LONGEST = 2000
_PERSONAL = ("urgent", "needs_reply", "waiting", "fyi")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one mail gave: its class, and what goes to the other agents."""

    classified: EmailClassified
    tasks: TaskSuggestion | None = None
    meetings: tuple[MeetingRequest, ...] = ()
    documents: tuple[DocumentReceived, ...] = ()


def read_mails(mails: Sequence[MailItem], about: Circumstances) -> list[Reading]:
    """Read each mail by itself; the same mail always gives the same reading."""
    return [read_mail(mail, about) for mail in mails]


def read_mail(mail: MailItem, about: Circumstances) -> Reading:
    """Return what is to be said of one mail."""
    look = Look(mail, about)
    verdict = judge(look)
    classified = classification(mail.id, verdict, first_thread_id(mail))
    if verdict.category == "spam" or look.is_doubtful or "trash" in mail.flags:
        return Reading(classified)  # nothing of it goes on
    return Reading(classified, _tasks(look, verdict), _meetings(mail, about), _documents(mail))


def classification(email_id: str, verdict: Verdict, thread_id: str) -> EmailClassified:
    """Return a verdict as the message that keeps it."""
    return EmailClassified(
        email_id=email_id,
        category=verdict.category,
        urgency=verdict.urgency,
        needs_reply=verdict.needs_reply,
        reasons=[reason[:_LONGEST] for reason in verdict.reasons],
        thread_id=thread_id,
    )


def _tasks(look: Look, verdict: Verdict) -> TaskSuggestion | None:
    mail = look.mail
    if verdict.category not in _PERSONAL or look.how == "list" or look.machine or "draft" in mail.flags:
        return None  # what is asked of everybody is asked of nobody
    tasks = suggest_tasks(mail, look.asks, look.about, by_user=look.by_user)
    return TaskSuggestion(email_id=mail.id, suggested_tasks=tasks) if tasks else None


def _meetings(mail: MailItem, about: Circumstances) -> tuple[MeetingRequest, ...]:
    if not mail.invite:
        return ()
    from brody_agents.integrations.calendar.expansion import parse_invite

    return tuple(
        MeetingRequest(
            email_id=mail.id,
            uid=invite.uid[:512],
            method=invite.method,
            title=invite.title[:_LONGEST],
            start=invite.start,
            end=invite.end,
            all_day=invite.all_day,
            location=invite.location[:_LONGEST],
            organizer=invite.organizer[:_LONGEST],
            sender=mail.sender.address,
            attendees=[attendee.address[:_LONGEST] for attendee in invite.attendees[:500]],
            sequence=invite.sequence,
            recurrence_id=invite.recurrence_id,
        )
        for invite in parse_invite(mail.invite, about.timezone)
    )


def _documents(mail: MailItem) -> tuple[DocumentReceived, ...]:
    return tuple(
        DocumentReceived(
            document_id=attachment_id(mail.id, attachment),
            version=attachment.sha256,
            name=attachment.name[:_LONGEST],
            media_type=attachment.media_type,
            size=attachment.size,
            account=mail.account,
            email_id=mail.id,
        )
        for attachment in documents_of(mail)
    )
