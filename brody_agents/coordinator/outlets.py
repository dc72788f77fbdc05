"""By which account something leaves, and who writes: what an action that reaches others needs to be carried out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import String, cast, select

from brody_agents.action import ActionState
from brody_agents.coordinator.account_effects.base import AccountSource, Job
from brody_agents.coordinator.account_effects.composition import mailbox
from brody_agents.errors import ConfigurationError, NotFound, NoTransport
from brody_agents.integrations.mail.base import ParsedMail
from brody_agents.integrations.sources import BUILT_IN
from brody_agents.ledger import attempts
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Email

DOMAINS = frozenset({"send", "chat"})
"""The domains whose accounts are only written to."""
_NEWEST = 50
_E = table(Email).c


async def job_of(ledger: Ledger, accounts: AccountSource, action: ActionRecord, arguments: Any, domain: str) -> Job:
    """Return the job of an action that leaves by an outlet: yet to be planned, or with the intent that it has.

    Raises ``NoTransport`` where there is no outlet, ``ConfigurationError`` where it is not clear which.
    """
    known = await accounts.outlets(ledger, action.user_id, domain)
    if action.intent and action.state is not ActionState.APPROVED:
        account = action.intent["account"]
        provider = next((outlet for outlet in known if outlet.account == account), None)
        if provider is None:
            what = f"It may have left by {account}, which is not among your accounts now."
            raise ConfigurationError(what, f"Name it again, with --{domain}.")
        return Job(action, arguments, provider, intent=action.intent, ledger=ledger)
    original = await _original(ledger, accounts, action, arguments)
    outlet = _chosen(known, arguments.account, original, domain)
    return Job(action, arguments, outlet, original=original, ledger=ledger)


async def with_author(ledger: Ledger, accounts: AccountSource, job: Job) -> Job:
    """Return the job of a draft with whom it is from: where the person sends from, has sent from, or was written to."""
    parent = _parsed((await job.provider.fetch(job.key)).data) if job.key else None
    own = _authors(await accounts.outlets(ledger, job.action.user_id, "send")) or await _sent_from(ledger, job)
    asked = _recipients(parent) if parent else []
    among = [author for author in own if mailbox(author).addr_spec.lower() in asked]
    alone = asked if parent and len(asked) == 1 and "list-id" not in parent.signals else []
    return replace(job, author=next(iter([*among, *own, *alone]), ""))


def _authors(outlets: Sequence[Any]) -> list[str]:
    found = []
    for outlet in outlets:
        with suppress(ConfigurationError):  # one that does not say so is told when it is to send
            found.append(outlet.author)
    return found


def _chosen(known: Sequence[Any], wanted: str, original: bytes, domain: str) -> Any:
    """Return the outlet that an action names, else the only one, else the one that the mail was written to."""
    named = [outlet for outlet in known if outlet.account == wanted]
    if not named and wanted.partition(":")[0] in BUILT_IN[domain]:
        raise ConfigurationError(f"{wanted} is not among your accounts.", f"Name it with --{domain}.")
    if not known:
        raise NoTransport(*_MISSING[domain])
    if named or len(known) == 1:
        return (named or known)[0]
    asked = _recipients(_parsed(original)) if original else []
    fitting = [outlet for outlet in known if domain == "send" and mailbox(outlet.author).addr_spec.lower() in asked]
    if len(fitting) == 1:
        return fitting[0]
    which = ", ".join(outlet.account for outlet in known)
    raise ConfigurationError(f"It can leave by {which}.", "Say by which: edit the action's `account`.")


_MISSING = {
    "send": ("There is no account that mail leaves by.", "Name one, once: brody run … --send smtp://me@mail.example"),
    "chat": ("There is no account that chat is posted to.", "Name one, once: brody run … --chat chat:~/chat"),
}


async def _original(ledger: Ledger, accounts: AccountSource, action: ActionRecord, arguments: Any) -> bytes:
    """Return the mail that is answered or passed on, as its account has it; empty for none."""
    item_id = getattr(arguments, "email_id", None)
    if item_id is None:
        return b""
    async with ledger.read() as tx:
        item = await attempts.mail(tx, action.user_id, item_id)
    if item is None:
        raise NotFound(f"There is no mail {item_id}.", "Read it again.")
    provider: Any = await accounts.provider(ledger, action.user_id, "mail", item.account)
    data: bytes = (await provider.fetch(item.key)).data
    return data


async def _sent_from(ledger: Ledger, job: Job) -> list[str]:
    """Return the addresses that the person's newest sent mail is from, the newest first."""
    query = select(_E.sender, _E.head).where(_E.user_id == job.action.user_id, cast(_E.head, String).like('%"sent"%'))
    async with ledger.read() as tx:
        rows = list(await tx.execute(query.order_by(_E.timestamp.desc()).limit(_NEWEST)))
    return list(dict.fromkeys(r.sender for r in rows if r.sender and "sent" in (r.head or {}).get("flags", ())))


def _parsed(data: bytes) -> ParsedMail:
    from brody_agents.integrations.mail.parsing import parse_mail

    return parse_mail(data)


def _recipients(mail: ParsedMail) -> list[str]:
    """Return the addresses that a mail came to, the one that it was delivered to first."""
    delivered = [mail.signals.get(name, "").strip().lower() for name in ("delivered-to", "x-original-to")]
    everybody = [*delivered, *(a.address for a in (*mail.to, *mail.cc))]
    return [address for address in dict.fromkeys(everybody) if "@" in address]
