"""Watchers: read accounts page by page; rows, cursor and the messages they cause are one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.arguments import is_storable
from brody_agents.communication import payloads
from brody_agents.communication.message_protocol import Payload
from brody_agents.compute import Pool
from brody_agents.errors import BrodyError, ItemUnreadable, LedgerError, LedgerFull, ProviderError, said
from brody_agents.integrations.base import BadItem, Page, Provider
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.contacts.base import RawContact
from brody_agents.integrations.files.base import RawFile
from brody_agents.integrations.listing import PAGE_ITEMS
from brody_agents.integrations.mail.base import RawMail
from brody_agents.integrations.tasks.base import RawTask
from brody_agents.ledger import items, messages
from brody_agents.ledger.dead_letters import Burial, bury, unbury_items
from brody_agents.ledger.items import EventSummary, Owner
from brody_agents.ledger.ledger import Ledger, LedgerBusy
from brody_agents.ledger.runs import RunRecord
from brody_agents.observability import logger
from brody_agents.proactive.ahead import ahead
from brody_agents.proactive.announcements import ReadyMail, announcement, ready_mails

log = logger(__name__)
_UTC = ZoneInfo("UTC")
Progress = Callable[[int], None]
_MEND = "Mend its provider."


@dataclass(frozen=True, slots=True)
class Reader:
    """How pages of one domain become rows and messages."""

    prepare: Callable[[Watcher, Owner, Page[Any]], Awaitable[Page[Any]]]
    write: Callable[[AsyncConnection, Watcher, Owner, Sequence[Any]], Awaitable[None]]
    announce: Callable[[Owner, Any], tuple[str, str, Payload] | None]
    """Give (item id, version, payload) of the message that an item causes, unless ``write`` has written it."""
    key: Callable[[Any], str]


class Watcher:
    """Read the accounts of a user."""

    def __init__(self, ledger: Ledger, pool: Pool) -> None:
        self.ledger = ledger
        self.pool = pool

    async def read(self, run: RunRecord, domain: str, provider: Provider[Any], progress: Progress) -> BrodyError | None:
        """Read what is new in an account; return the error that stopped it, if one did."""
        owner = Owner(run.user_id, provider.account, run.id, run.now)
        try:
            async with self.ledger.read() as tx:
                cursor = await items.cursor(tx, run.user_id, provider.account)
            pages = provider.changes(cursor, lambda: self._known(owner, domain))
            async with aclosing(ahead(self._prepared(owner, domain, pages))) as prepared:
                async for page in prepared:
                    await self._write(owner, domain, page)
                    progress(len(page.items) + len(page.bad))
        except (LedgerError, LedgerFull, LedgerBusy):
            raise  # not the account's fault: the run stops here and goes on from here
        except BrodyError as error:
            log.warning("account not read", account=provider.account, code=error.code, error=str(error))
            return error
        except Exception as error:  # whatever a third party's provider raises: the other accounts are read
            log.warning("account not read", account=provider.account, exc_info=True)
            return ProviderError(f"{provider.account} failed: {said(error)}.", _MEND)
        return None

    async def _known(self, owner: Owner, domain: str) -> Mapping[str, str]:
        async with self.ledger.read() as tx:
            return await items.known(tx, owner.user_id, owner.account, domain)

    async def _prepared(self, owner: Owner, domain: str, pages: AsyncIterator[Page[Any]]) -> AsyncIterator[Page[Any]]:
        async for page in pages:
            _check(owner, page)
            yield await READERS[domain].prepare(self, owner, page)

    async def _write(self, owner: Owner, domain: str, page: Page[Any]) -> None:
        reader = READERS[domain]
        announced = [a for item in page.items if (a := reader.announce(owner, item)) is not None]
        async with self.ledger.write() as tx:
            await reader.write(tx, self, owner, page.items)
            await items.write_bad(tx, owner, domain, page.bad)
            await items.remove(tx, owner, domain, page.removed)
            await unbury_items(tx, owner.user_id, [owner.item_id(reader.key(item)) for item in page.items])
            await bury(tx, self.ledger.vault, [_burial(owner, domain, bad) for bad in page.bad])
            await items.move_cursor(tx, owner, domain, page.cursor)
            await messages.write(tx, self.ledger.vault, [announcement(owner, *a) for a in announced])


def _check(owner: Owner, page: Page[Any]) -> None:
    """Refuse ids that no ledger can store."""
    if not is_storable([page.cursor, *(i.key for i in page.items), *((bad.key, bad.version) for bad in page.bad)]):
        raise ProviderError(f"{owner.account} has an id with a NUL, or half of a character, in it.", _MEND)


def _burial(owner: Owner, domain: str, bad: BadItem) -> Burial:
    return Burial(
        user_id=owner.user_id,
        code="item_unreadable",
        reason=f"{owner.account} {bad.key}: {bad.reason}",
        body=bad.data[:1_000_000],
        item_id=owner.item_id(bad.key),
        message_type=_ANNOUNCES[domain],
        run_id=owner.run_id,
    )


_ANNOUNCES = {
    "mail": "email_received",
    "calendar": "meeting_scheduled",
    "files": "document_received",
    "contacts": "contact",
    "tasks": "task",
}


# -- the domains -------------------------------------------------------------------------------------


async def _make_ready(watcher: Watcher, owner: Owner, page: Page[RawMail]) -> Page[Any]:
    full = len(page.items) == PAGE_ITEMS  # a page that is not full is the last one
    expected = page.total or 0 if full else len(page.items)
    ready = await watcher.pool.map(ready_mails, page.items, expected, owner)
    good = [mail for mail in ready if not isinstance(mail, str)]
    bad = [
        BadItem(raw.key, raw.version, why, raw.data)
        for raw, why in zip(page.items, ready, strict=True)
        if isinstance(why, str)
    ]
    return Page(good, [*page.bad, *bad], page.removed, page.cursor, page.total)


async def _write_mail(tx: AsyncConnection, watcher: Watcher, owner: Owner, mails: Sequence[ReadyMail]) -> None:
    """Write mails and, since these are ready too, the messages that announce them."""
    await items.write_mail_rows(tx, watcher.ledger.vault, owner, [mail.row for mail in mails])
    await messages.write_rows(tx, watcher.ledger.vault, [mail.message for mail in mails])


def summarise(raws: Sequence[RawEvent]) -> list[EventSummary | str]:
    """Return what is kept readable of events, or why an event cannot be read. Pure."""
    from brody_agents.integrations.calendar.expansion import StoredEvent, bounds, components

    summaries: list[EventSummary | str] = []
    for raw in raws:
        stored = StoredEvent("", raw.key, raw.version, raw.data, raw.calendar)
        try:
            times = bounds(stored, _UTC)
            title = components(stored, _UTC)[0].title
            summaries.append(EventSummary(title, times.start, times.end, times.recurs))
        except ItemUnreadable as error:
            summaries.append(error.what)
    return summaries


async def _summarise(watcher: Watcher, owner: Owner, page: Page[RawEvent]) -> Page[Any]:
    summaries = await asyncio.to_thread(summarise, page.items)
    pairs = list(zip(page.items, summaries, strict=True))
    good = [(raw, s) for raw, s in pairs if isinstance(s, EventSummary)]
    bad = [BadItem(raw.key, raw.version, s, raw.data.encode()) for raw, s in pairs if isinstance(s, str)]
    return Page(good, [*page.bad, *bad], page.removed, page.cursor, page.total)


async def _write_events(tx: AsyncConnection, watcher: Watcher, owner: Owner, events: Sequence[Any]) -> None:
    await items.write_events(tx, watcher.ledger.vault, owner, events)


def _announce_event(owner: Owner, item: tuple[RawEvent, EventSummary]) -> tuple[str, str, Payload]:
    raw, event = item
    payload = payloads.MeetingScheduled(
        event_id=owner.item_id(raw.key),
        version=raw.version,
        account=owner.account,
        uid=raw.key,
        title=event.title[:500],
        start=event.start,
        end=event.end,
    )
    return payload.event_id, raw.version, payload


async def _as_is(watcher: Watcher, owner: Owner, page: Page[Any]) -> Page[Any]:
    return page


async def _write_files(tx: AsyncConnection, watcher: Watcher, owner: Owner, files: Sequence[RawFile]) -> None:
    await items.write_documents(tx, watcher.ledger.vault, owner, files)


def _announce_file(owner: Owner, item: RawFile) -> tuple[str, str, Payload]:
    payload = payloads.DocumentReceived(
        document_id=owner.item_id(item.key),
        version=item.version,
        name=item.name[:500],
        media_type=item.media_type,
        size=item.size,
        account=owner.account,
    )
    return payload.document_id, item.version, payload


async def _write_cards(tx: AsyncConnection, watcher: Watcher, owner: Owner, cards: Sequence[RawContact]) -> None:
    await items.write_contacts(tx, owner, cards)


async def _write_tasks(tx: AsyncConnection, watcher: Watcher, owner: Owner, tasks: Sequence[RawTask]) -> None:
    await items.write_tasks(tx, watcher.ledger.vault, owner, tasks)


READERS: Mapping[str, Reader] = {
    "mail": Reader(_make_ready, _write_mail, lambda owner, mail: None, lambda item: str(item.key)),
    "calendar": Reader(_summarise, _write_events, _announce_event, lambda item: str(item[0].key)),
    "files": Reader(_as_is, _write_files, _announce_file, lambda item: str(item.key)),
    "contacts": Reader(_as_is, _write_cards, lambda owner, card: None, lambda item: str(item.key)),
    "tasks": Reader(_as_is, _write_tasks, lambda owner, task: None, lambda item: str(item.key)),
}
"""How each domain is read."""
