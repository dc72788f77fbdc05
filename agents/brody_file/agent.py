"""The file agent: it answers what belongs to a meeting or a thread, and proposes where attachments should lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

from brody_agents import BrodyAgent, Context, handles
from brody_agents.communication.payloads import DocumentReceived, DocumentsFound, FindDocuments, FoundDocument
from brody_agents.items import DocumentItem
from brody_file.attachments import KEY, Known, known, loaded, merged
from brody_file.filing import Place, is_filed, place_of, query_of
from brody_file.index import Entry, Index, Match, Query, address_of, company_of
from brody_file.words import distinct, term_counts

_LEAST = 0.25
"""A document that scores less is not named in an answer."""
_SPARE = 10
"""Matches taken beyond the limit, in case the mails of some are gone."""
_TEXTS = 2000
"""Documents whose text is read for an answer, the newest; of the others the name counts."""
_AROUND = timedelta(days=14)
_AT_ONCE = 32
_LONGEST_TEXT = 20_000
_NOT_READ = frozenset({"draft", "trash", "spam"})


class FileAgent(BrodyAgent):
    """Know the user's documents: find what belongs to something, file what arrives."""

    name = "file_agent"
    capabilities = ("files",)

    @handles
    async def file_attachments(self, received: list[DocumentReceived], ctx: Context) -> None:
        """Keep what attachments are known, and propose a folder for those that resemble what is in one."""
        carried = {d.document_id: d for d in received if d.email_id}
        own = await ctx.mail.own_addresses()
        new = await _attachments(list(carried.values()), own, ctx)
        if not new:
            return
        await ctx.remember(KEY, merged(await ctx.recall(KEY), new))
        accounts = await ctx.files.accounts()
        arrived = [a for a in new if address_of(a.sender) not in own]
        if accounts and arrived:
            for attachment, place in await _places(arrived, accounts[0], ctx):
                _propose(attachment, place, accounts[0], carried[attachment.id], ctx)

    @handles
    async def find_documents(self, questions: list[FindDocuments], ctx: Context) -> None:
        """Answer each question to whoever asked it, best document first, perhaps none."""
        own = await ctx.mail.own_addresses()
        days = await _days(ctx)
        queries = [_query(question, days.get(question.subject_id), own) for question in questions]
        carried = {a.id: a for a in loaded(await ctx.recall(KEY))}
        entries = await _entries(await ctx.files.all(), queries, ctx)
        index = Index([*entries, *(a.entry() for a in carried.values())])
        pairs = list(zip(questions, queries, strict=True))
        matches = [index.search(query, _LEAST, question.limit + _SPARE) for question, query in pairs]
        there = await _there(matches, carried, ctx)
        askers = {id(message.payload): message.sender for message in ctx.messages}
        for question, best in zip(questions, matches, strict=True):
            found = [_found(m, carried) for m in best if m.entry.id in there][: question.limit]
            answer = DocumentsFound(subject_id=question.subject_id, documents=found)
            ctx.tell(askers[id(question)], answer, because=question)


async def _days(ctx: Context) -> dict[str, date]:
    """Return the days of the events around now; questions name a meeting by its event."""
    events = await ctx.calendar.events(ctx.now - _AROUND, ctx.now + _AROUND)
    return {event.id: event.start.date() for event in events}


def _query(question: FindDocuments, day: date | None, own: frozenset[str]) -> Query:
    """Return what the index is asked for; the user and the user's own company tell no documents apart."""
    people = tuple(person for person in question.people if address_of(person) not in own)
    ours = frozenset(distinct(company_of(address.rpartition("@")[2]) for address in own))
    return Query(question.title, people, question.text, day=day, ours=ours)


async def _attachments(received: Sequence[DocumentReceived], own: frozenset[str], ctx: Context) -> list[Known]:
    """Return the attachments that are documents, of mail that the user reads."""
    wanted = {d.document_id for d in received}
    mails = await ctx.mail.get(list(dict.fromkeys(d.email_id for d in received if d.email_id)))
    documents = [a for mail in mails if not mail.flags & _NOT_READ for a in known(mail, own).values()]
    return [a for a in documents if a.id in wanted]


async def _there(matches: Sequence[Sequence[Match]], carried: Mapping[str, Known], ctx: Context) -> set[str]:
    """Return the ids of the matches but those whose mail is gone."""
    ids = dict.fromkeys(match.entry.id for best in matches for match in best)
    emails = dict.fromkeys(carried[i].email_id for i in ids if i in carried)
    mails = {mail.id for mail in await ctx.mail.get(list(emails))}
    return {i for i in ids if i not in carried or carried[i].email_id in mails}


async def _places(attachments: Sequence[Known], account: str, ctx: Context) -> list[tuple[Known, Place]]:
    """Return the attachments for which there is a place, with it."""
    documents = await ctx.files.all()
    new = [a for a in attachments if not is_filed(a, documents)]
    there = [d for d in documents if d.account == account]
    if not new or not there:
        return []
    index = Index(await _entries(there, [query_of(a) for a in new], ctx))
    folders = {d.id: d.key.rpartition("/")[0] for d in there}
    taken = frozenset(d.key.casefold() for d in there)
    places = [(a, place_of(a, index, folders, taken)) for a in new]
    return [(a, place) for a, place in places if place is not None]


async def _entries(documents: Sequence[DocumentItem], queries: Sequence[Query], ctx: Context) -> list[Entry]:
    """Return documents as the index sees them, with the counts of the terms that the queries ask for."""
    wanted = frozenset[str]().union(*(query.wanted() for query in queries))
    newest = sorted(documents, key=lambda d: (d.modified, d.id), reverse=True)
    entries = {d.id: Entry(d.id, d.name, d.key.rpartition("/")[0], d.title) for d in newest}
    for first in range(0, min(len(newest), _TEXTS), _AT_ONCE):
        read = await ctx.files.get([d.id for d in newest[first : first + _AT_ONCE]])
        counted = await ctx.compute(term_counts, [d.text[:_LONGEST_TEXT] for d in read], wanted)
        for document, (counts, length) in zip(read, counted, strict=True):
            entries[document.id] = replace(entries[document.id], counts=counts, length=length)
    return list(entries.values())


def _propose(attachment: Known, place: Place, account: str, because: DocumentReceived, ctx: Context) -> None:
    arguments = {
        "account": account,
        "path": place.path,
        "email_id": attachment.email_id,
        "attachment": attachment.index,
        "document_id": attachment.id,
    }
    # The content names the wish: the same file in two mails is one proposal.
    cause = attachment.sha256 or attachment.id
    ctx.propose(
        "file.create", arguments, why=place.why, because=because, cause=cause, confidence=min(1.0, place.likeness)
    )


def _found(match: Match, carried: Mapping[str, Known]) -> FoundDocument:
    return FoundDocument(
        document_id=match.entry.id,
        name=match.entry.name,
        score=match.score,
        reasons=list(match.reasons),
        source="email" if match.entry.id in carried else "file",
    )
