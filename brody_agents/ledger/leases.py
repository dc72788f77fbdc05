"""Leases on exclusive resources, each with a fencing number that only ever grows.

A lease expires by the wall clock, so two holders may overlap where clocks differ or a process sleeps. Safety comes
from the number: whoever writes under a lease calls ``check`` in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.errors import Fenced, LeaseHeld
from brody_agents.ledger.budgets import ALWAYS
from brody_agents.ledger.statements import insert_new, table
from brody_agents.ledger.tables import ResourceLease

_T = table(ResourceLease)
_L = _T.c


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to a resource until ``expires_at``; ``fence`` tells this holder from all before."""

    resource: str
    holder: str
    fence: int
    expires_at: datetime


async def acquire(tx: AsyncConnection, resource: str, holder: str, ttl: timedelta, now: datetime) -> Lease:
    """Take a resource that is free or whose lease has expired; raise ``LeaseHeld`` with who has it until when."""
    await tx.execute(insert_new(tx, ResourceLease), [_free(resource)])
    values = {"holder": holder, "fence": _L.fence + 1, "expires_at": now + ttl}
    taken = update(_T).where(_L.resource == resource, _L.expires_at <= now).values(values).returning(_L.fence)
    fence = (await tx.execute(taken)).scalar_one_or_none()
    if fence is None:
        who, until = (await tx.execute(select(_L.holder, _L.expires_at).where(_L.resource == resource))).one()
        raise LeaseHeld(f"{who} holds {resource} until {until:%H:%M:%S} UTC.", "Try again then.")
    return Lease(resource, holder, fence, now + ttl)


async def renew(tx: AsyncConnection, lease: Lease, ttl: timedelta, now: datetime) -> Lease:
    """Hold a resource for longer, also a little late as long as nobody took it; raise ``Fenced`` if somebody did."""
    renewed = update(_T).where(*_is(lease)).values(expires_at=now + ttl)
    if (await tx.execute(renewed)).rowcount != 1:
        raise _lost(lease)
    return replace(lease, expires_at=now + ttl)


async def check(tx: AsyncConnection, lease: Lease) -> None:
    """Raise ``Fenced`` unless nobody has taken the resource since; no one can before this transaction ends."""
    held = update(_T).where(*_is(lease)).values(holder=lease.holder)  # a write, so that the row stays locked
    if (await tx.execute(held)).rowcount != 1:
        raise _lost(lease)


async def release(tx: AsyncConnection, lease: Lease) -> bool:
    """Give a resource up; return whether it was still held, since there is nothing to do where it was not."""
    freed = update(_T).where(*_is(lease)).values(holder="", expires_at=ALWAYS)
    return (await tx.execute(freed)).rowcount == 1


def _free(resource: str) -> dict[str, object]:
    return {"resource": resource, "holder": "", "fence": 0, "expires_at": ALWAYS}


def _is(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return _L.resource == lease.resource, _L.fence == lease.fence, _L.holder == lease.holder


def _lost(lease: Lease) -> Fenced:
    return Fenced(f"{lease.holder} no longer holds {lease.resource} (number {lease.fence}).")
