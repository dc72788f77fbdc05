"""The task agent: it proposes tasks, and moves the due dates of those that the calendar gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from brody_agents import BrodyAgent, Context, Payload, SourceRef, handles
from brody_agents.communication.message_protocol import stable_id
from brody_agents.communication.payloads import DocumentReceived, MeetingScheduled, TaskSuggestion
from brody_agents.integrations.calendar.base import Event
from brody_agents.items import DocumentItem, MailItem, TaskItem
from brody_task.normalise import first_name
from brody_task.notes import open_lines
from brody_task.preparation import preparations
from brody_task.wish import Origin, Wish, noted, prepared, suggested, thread_root

_AHEAD = timedelta(days=60)
_RECENT = timedelta(days=30)
_AT_ONCE = 32
"""Documents whose text is held in memory together."""


class TaskAgent(BrodyAgent):
    """Make one list of what is to be done, from mail, calendar and files."""

    name = "task_agent"
    capabilities = ("tasks",)

    @handles
    async def take_suggestions(self, suggestions: list[TaskSuggestion], ctx: Context) -> None:
        """Propose the tasks that others found in an item."""
        own = await ctx.mail.own_addresses()
        mails = {mail.id: mail for mail in await ctx.mail.get([s.email_id for s in suggestions if s.email_id])}
        places = await _places(suggestions, ctx)
        for suggestion in suggestions:
            mail = mails.get(suggestion.email_id or "")
            origin = await _mail_origin(mail, own, ctx) if mail else _other_origin(suggestion, places)
            for task in suggestion.suggested_tasks:
                if wish := suggested(task, origin, own, ctx.now):
                    _propose(wish, suggestion, ctx)

    @handles
    async def take_meetings(self, meetings: list[MeetingScheduled], ctx: Context) -> None:
        """Propose what events ask for beforehand; move the due dates of what they asked for earlier."""
        upcoming = await _upcoming(ctx)
        tasks = await ctx.tasks.open()
        for meeting in meetings:
            event = upcoming.get(meeting.event_id)
            for preparation in preparations(event) if event else ():
                assert event is not None
                wish = prepared(preparation, event.id, ctx.now)
                _propose(wish, meeting, ctx)
                _move(wish, meeting, tasks, ctx)

    @handles
    async def take_documents(self, documents: list[DocumentReceived], ctx: Context) -> None:
        """Propose what files of the last thirty days have open; attachments are somebody else's."""
        people = await _people(ctx)
        files = [document for document in documents if document.email_id is None]
        for first in range(0, len(files), _AT_ONCE):
            part = {d.document_id: d for d in files[first : first + _AT_ONCE]}
            for item in await ctx.files.get(list(part)):
                if ctx.now - item.modified <= _RECENT:
                    _propose_lines(item, people, part[item.id], ctx)


def _propose(wish: Wish, because: Payload, ctx: Context) -> None:
    ctx.propose(
        "task.create",
        wish.arguments(),
        why=wish.why,
        because=because,
        cause=wish.source.id,
        priority=wish.priority,
        confidence=wish.confidence,
    )


def _propose_lines(document: DocumentItem, people: Mapping[str, bool], because: Payload, ctx: Context) -> None:
    for line in open_lines(document.text):
        if wish := noted(line, document, people, ctx.now):
            _propose(wish, because, ctx)


def _move(wish: Wish, because: MeetingScheduled, tasks: Sequence[TaskItem], ctx: Context) -> None:
    """Propose the new due date of a task whose event has moved."""
    for task in tasks:
        if task.root == wish.root and task.normalised == wish.normalised and task.due != wish.due:
            reason = "the event that it is for has moved"
            arguments = {"task_id": task.id, "version": task.version, "due": wish.due, "reasons": [reason]}
            cause = f"{wish.source.id}@{because.version}"
            ctx.propose("task.update", arguments, why=f"{reason.capitalize()}.", because=because, cause=cause)


async def _mail_origin(mail: MailItem, own: frozenset[str], ctx: Context) -> Origin:
    contact = await ctx.contacts.find(mail.sender.address)
    mine = mail.sender.address in own
    name = (contact.name if contact else "") or mail.sender.name or mail.sender.address.partition("@")[0]
    return Origin(
        source=SourceRef(type="email", id=mail.id),
        root=thread_root(mail),
        place=mail.subject,
        said_at=mail.received_at,
        speaker="" if mine else name,
        known=contact is not None and not mine,
    )


def _other_origin(suggestion: TaskSuggestion, places: Mapping[str, str]) -> Origin:
    """Return where a suggestion comes from that no mail made, or a mail that is gone."""
    for kind, item in (
        ("calendar", suggestion.event_id),
        ("file", suggestion.document_id),
        ("email", suggestion.email_id),
    ):
        if item:
            return Origin(SourceRef.model_validate({"type": kind, "id": item}), root=item, place=places.get(item, ""))
    return Origin(SourceRef(type="manual", id="manual"), root="")


async def _people(ctx: Context) -> dict[str, bool]:
    """Return the names and first names of the address book, and of the user, with whether they are the user's own."""
    own = await ctx.mail.own_addresses()
    cards = [(card.name, not own.isdisjoint(card.addresses)) for card in await ctx.contacts.all()]
    names = [*cards, *((address.partition("@")[0], True) for address in own)]
    found: dict[str, bool] = {}
    for name, mine in sorted(names):
        for word in (name.casefold(), first_name(name).casefold()):
            found[word] = found.get(word, False) or mine
    return found


async def _places(suggestions: Sequence[TaskSuggestion], ctx: Context) -> dict[str, str]:
    """Return the titles of the events and the names of the documents that suggestions name."""
    documents = await ctx.files.get([s.document_id for s in suggestions if s.document_id])
    places = {document.id: document.name for document in documents}
    if any(s.event_id for s in suggestions):
        places |= {key: event.title for key, event in (await _upcoming(ctx)).items()}
    return places


async def _upcoming(ctx: Context) -> dict[str, Event]:
    """Return the events of the next weeks that the user takes part in, by their own id and by that of their series.

    Of a series it is the next occurrence.
    """
    own = await ctx.mail.own_addresses()
    found: dict[str, Event] = {}
    for event in await ctx.calendar.events(ctx.now, ctx.now + _AHEAD):
        declined = any(a.address in own and a.status == "declined" for a in event.attendees)
        if event.status != "cancelled" and not declined and (event.all_day or event.start >= ctx.now):
            found.setdefault(stable_id(event.account, event.uid), event)
            found.setdefault(event.id, event)
    return found
