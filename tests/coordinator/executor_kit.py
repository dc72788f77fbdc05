"""Executors on a ledger that tests share, accounts that hang or fail when told to, and actions that are approved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update

from brody_agents.action import OPEN_STATES, ActionState
from brody_agents.coordinator.account_executor import AccountExecutor
from brody_agents.coordinator.progress import RunBook
from brody_agents.errors import ConfigurationError
from brody_agents.integrations.files.local import Folder
from brody_agents.ledger import actions
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action
from brody_agents.registry import Registry
from tests.coordinator.court import propose
from tests.coordinator.kit import until

A = table(Action).c


class Account:
    """A folder that notes what is written, and answers only when it may; ``fails`` is raised instead of writing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.inner = folder, Folder(str(folder))
        self.account = self.inner.account
        self.may = asyncio.Event()
        self.may.set()
        self.fails: Exception | None = None
        self.reads_fail: Exception | None = None
        self.written: list[str] = []
        self.running = self.most = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def read(self, key: str) -> bytes:
        """Read a file."""
        if self.reads_fail:
            raise self.reads_fail
        return await self.inner.read(key)

    async def write(self, key: str, data: bytes, version: str | None) -> str:
        """Write a file, then answer."""
        self.written.append(key)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.fails:
                raise self.fails
            written = await self.inner.write(key, data, version)
            await self.may.wait()
            return written
        finally:
            self.running -= 1

    @property
    def names(self) -> list[str]:
        """Return what lies in the folder."""
        return sorted(path.name for path in self.folder.iterdir())


@dataclass
class Source:
    """The accounts of a test."""

    accounts: dict[str, Account] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path, *names: str) -> Source:
        """Return accounts in new folders."""
        made = [Account(folder / name) for name in names]
        return cls({account.account: account for account in made})

    def __iter__(self) -> Iterator[Account]:
        return iter(self.accounts.values())

    async def provider(self, ledger: Ledger, user_id: str, domain: str, account: str) -> Any:
        """Return an account."""
        if account not in self.accounts:
            raise ConfigurationError(f"There is no {account}.")
        return self.accounts[account]


async def _published(stored: Sequence[Stored]) -> None:
    """Have nobody told."""


def executor(ledger: Ledger, source: Source, **options: Any) -> AccountExecutor:
    """Return an executor."""
    book = RunBook(ledger, lambda run: [], ZoneInfo("UTC"))
    return AccountExecutor(ledger, Registry(), book, _published, source, **options)


@asynccontextmanager
async def running(*executors: AccountExecutor) -> AsyncIterator[None]:
    """Let executors work; what ended one is raised."""
    tasks = [asyncio.create_task(one.run()) for one in executors]
    try:
        yield
    finally:
        for one in executors:
            one.stop()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def create(account: Account, name: str, user: str = "me", **more: Any) -> ActionRecord:
    """Return an approved wish for a file."""
    arguments = {"account": account.account, "path": name, "text": f"This is {name}."}
    more = {"state": ActionState.APPROVED, "reason": "You approved it.", "cause": f"{account.account} {name}"} | more
    return propose("file.create", arguments, user=user, **more)


async def put(ledger: Ledger, wishes: Iterable[ActionRecord]) -> list[str]:
    """Write actions and return their ids."""
    wanted = list(wishes)
    await ledger.ensure_users({wish.user_id for wish in wanted})
    async with ledger.write() as tx:
        await actions.add(tx, ledger.vault, wanted)
    return [wish.id for wish in wanted]


async def shown(ledger: Ledger, ids: Iterable[str]) -> list[ActionRecord]:
    """Return actions as they stand."""
    wanted = list(ids)
    async with ledger.read() as tx:
        found = {a.id: a for a in await actions.load(tx, ledger.vault, A.id.in_(wanted))}
    return [found[action_id] for action_id in wanted]


async def states(ledger: Ledger, ids: Iterable[str]) -> list[str]:
    """Return the states of actions."""
    return [str(action.state) for action in await shown(ledger, ids)]


async def ends(ledger: Ledger, ids: Sequence[str]) -> list[ActionRecord]:
    """Wait until actions have ended and return them."""

    open_ = select(A.id).where(A.id.in_(ids), A.state.in_(sorted(OPEN_STATES))).limit(1)

    async def look() -> bool:
        async with ledger.read() as tx:
            return (await tx.execute(open_)).first() is None

    await until(look, "the actions have ended")
    return await shown(ledger, ids)


async def stands(ledger: Ledger, action_id: str, state: ActionState, *, waits: bool = False) -> ActionRecord:
    """Wait until an action is in a state, and put off if ``waits``; return it."""

    async def look() -> ActionRecord | None:
        (found,) = await shown(ledger, [action_id])
        return found if found.state is state and (found.not_before is not None or not waits) else None

    found: ActionRecord = await until(look, f"it is {state}")
    return found


async def let_time_pass(ledger: Ledger) -> None:
    """Have the time come of all that was put off."""
    async with ledger.write() as tx:
        await tx.execute(update(table(Action)).values(not_before=None))
