"""The email specialist: triage, threads, who waits on whom, task sentences, drafts of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from brody_agents import BrodyAgent, Context, handles
from brody_agents.communication.payloads import EmailReceived, FindDocuments, ScanInbox
from brody_agents.items import MailHead
from brody_email.circumstances import RULES_KEY, SERVERS_KEY, Circumstances, names_of, read_rules
from brody_email.drafts import Draft, draft_answers
from brody_email.meetings import LOOKED_BACK, candidates, find_documents
from brody_email.reading import Reading, read_mails
from brody_email.scan import Scan, scan, triage_all
from brody_email.triage import Verdict

PART = 128
"""Mails that one process reads at a time: a batch is read side by side."""


class EmailAgent(BrodyAgent):
    """Say what each mail is, what it asks, and whose turn it is; propose answers."""

    name = "email_agent"
    capabilities = ("email_triage", "thread_tracking", "task_extraction", "reply_drafting")

    @handles
    async def read(self, received: list[EmailReceived], ctx: Context) -> None:
        """Read new mail, each by itself."""
        about = await _circumstances(ctx)
        mails = await ctx.mail.get([message.email_id for message in received])
        parts = [ctx.compute(read_mails, mails[i : i + PART], about) for i in range(0, len(mails), PART)]
        readings: list[list[Reading]] = await asyncio.gather(*parts)
        by_id = {reading.classified.email_id: reading for part in readings for reading in part}
        for message in received:
            if reading := by_id.get(message.email_id):
                _tell(ctx, reading, message)

    @handles
    async def scan(self, request: ScanInbox, ctx: Context) -> None:
        """Pass over all threads and propose answers to what needs one."""
        heads = await ctx.mail.heads()
        found = await _scan(ctx, heads)
        threads = {head.id: head for head in heads}
        for classified in found.changed:
            ctx.tell("coordinator", classified)
            if threads[classified.email_id].reply_state == "owed" != classified.reply_state:
                why = classified.reasons[-1] if classified.reasons else "Nobody waits for this answer any more."
                ctx.withdraw("mail.draft", {"email_id": classified.email_id}, why=why)
        said = {classified.email_id: classified.thread_id for classified in found.changed}
        mails = await ctx.mail.get(found.to_answer)
        drafts: list[Draft] = await ctx.compute(draft_answers, mails, found.about)
        for draft in drafts:
            head = threads[draft.email_id]
            _propose(ctx, draft, head, said.get(head.id) or head.thread_id)

    @handles
    async def find(self, requests: list[FindDocuments], ctx: Context) -> None:
        """Answer which mails and attachments belong to a meeting."""
        own = await ctx.mail.own_addresses()
        heads = await ctx.mail.heads(ctx.now - LOOKED_BACK)
        for message in ctx.messages:
            request = message.payload
            assert isinstance(request, FindDocuments)
            ids = candidates(request, heads, own, ctx.now)
            mails = {mail.id: mail for mail in await ctx.mail.get(ids)}
            ctx.tell(message.sender, find_documents(request, mails, ids, own, ctx.now), because=message)


async def _circumstances(ctx: Context) -> Circumstances:
    contacts = await ctx.contacts.all()
    return Circumstances(
        now=ctx.now,
        zone=ctx.timezone.key,
        own=await ctx.mail.own_addresses(),
        known=frozenset(address for contact in contacts for address in contact.addresses),
        names=names_of(contacts),
        rules=read_rules(await ctx.recall(RULES_KEY)),
        servers=_texts(await ctx.recall(SERVERS_KEY)),
    )


def _texts(value: object) -> frozenset[str]:
    return (
        frozenset(text.lower() for text in value if isinstance(text, str)) if isinstance(value, list) else frozenset()
    )


def _tell(ctx: Context, reading: Reading, because: EmailReceived) -> None:
    ctx.tell("coordinator", reading.classified, because=because)
    if reading.tasks:
        ctx.tell("task_agent", reading.tasks, because=because)
    for meeting in reading.meetings:
        ctx.tell("calendar_agent", meeting, because=because)
    for document in reading.documents:
        ctx.tell("file_agent", document, because=because)


async def _scan(ctx: Context, heads: list[MailHead]) -> Scan:
    """Scan until nothing has to be read first; twice is enough, the third time would find the same."""
    about = await _circumstances(ctx)
    verdicts: dict[str, Verdict] = {}
    found: Scan = await ctx.compute(scan, heads, about, verdicts)
    while unread := _new(found.unread, verdicts):
        mails = await ctx.mail.get(unread)
        verdicts |= await ctx.compute(triage_all, mails, found.about)
        heads = [head for head in heads if head.id in verdicts or head.id not in set(unread)]
        found = await ctx.compute(scan, heads, about, verdicts)
    return found


def _new(ids: Iterable[str], known: dict[str, Verdict]) -> list[str]:
    return [i for i in ids if i not in known]


def _propose(ctx: Context, draft: Draft, head: MailHead, thread_id: str) -> None:
    arguments = {
        "account": head.account,
        "to": list(draft.to),
        "subject": draft.subject,
        "text": draft.text,
        "email_id": draft.email_id,
        "thread_id": thread_id or None,
    }
    ctx.propose("mail.draft", arguments, why=draft.why, cause=f"{head.id}@{head.message_id}")
