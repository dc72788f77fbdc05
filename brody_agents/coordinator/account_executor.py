"""The executor of effects on accounts: intent first, then the effect, then the result; what is unclear is asked.

A crash, a time-out or an error that leaves the outcome open makes an action ``unknown``. It leaves that state only
when its account was asked: it took place (``done``), it surely did not (``approved`` again, later), or a person looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from brody_agents.action import CATALOGUE, ActionState
from brody_agents.communication.bus.base import partition_of
from brody_agents.coordinator.account_effects import EFFECTS, KINDS
from brody_agents.coordinator.account_effects.base import AccountSource, Done, Job, NotDone
from brody_agents.coordinator.executor import Executor, Publish
from brody_agents.coordinator.partitions import Share
from brody_agents.coordinator.progress import RunBook
from brody_agents.errors import BrodyError, NoEffect, NotFound, OutcomeUnknown, Retryable, Stale
from brody_agents.ledger import attempts
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.observability import logger
from brody_agents.registry import Registry

log = logger(__name__)
AT_ONCE = 32
LIMIT = 60.0
"""Seconds that an effect may take before its outcome counts as unknown."""
MOST_ATTEMPTS = 6
_UNKNOWN = "Its outcome is unknown; the account is asked before anything is tried again."


class AccountExecutor(Executor):
    """Work off the approved and the unknown actions on accounts; one for a ledger at a time."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        runs: RunBook,
        publish: Publish,
        accounts: AccountSource,
        limit: float = LIMIT,
        *,
        share: Share | None = None,
    ) -> None:
        super().__init__(ledger, registry, runs, publish, share)
        self._accounts = accounts
        self._limit = limit
        self._partitions = self._at = frozenset[int]()
        self._late: dict[str, asyncio.Task[dict[str, Any]]] = {}

    async def run(self) -> None:
        """Take over what a dead process left, then carry out actions until ``stop``."""
        if self._share.alone:
            await self.recover()
        await super().run()

    async def hold(self, partitions: frozenset[int]) -> None:
        """Take over the actions of partitions that another worker had."""
        new, self._partitions = partitions - self._partitions, partitions
        if new:
            await self.recover(new)

    def at_work(self) -> frozenset[int]:
        """Return the partitions of the users for whom an effect is under way."""
        return self._at

    async def recover(self, partitions: frozenset[int] | None = None) -> None:
        """Make ``unknown`` what is ``executing`` in these partitions although nobody is at it."""
        users = None
        async with self._ledger.write() as tx:
            if partitions is not None:
                users = [u for u in await attempts.executing_for(tx, KINDS) if partition_of(u) in partitions]
            await attempts.orphan(tx, KINDS, users)

    async def carry_out(self) -> int:
        """Try what is due, one after the other, and return how many there were."""
        async with self._ledger.read() as tx:
            found = await attempts.due(tx, self._ledger.vault, KINDS, AT_ONCE)
        for action in found:
            if self._stopping:
                break
            if self._share.has(action.user_id):
                self._at = frozenset({partition_of(action.user_id)})
                await self._one(action)
                self._at = frozenset()
        return sum(self._share.has(action.user_id) for action in found)

    # -- an action's way -------------------------------------------------------------------------------

    async def _one(self, action: ActionRecord) -> None:
        await (self._settle(action) if action.state is ActionState.UNKNOWN else self._attempt(action))

    async def _postpone(self, action: ActionRecord, error: Retryable) -> None:
        """Look again later: the account could not be asked, and nothing was done."""
        await self._leave(action, replace(action, reason=str(error), not_before=_later(max(action.fence, 4))))

    async def _attempt(self, action: ActionRecord) -> None:
        """Carry an approved action out."""
        try:
            job = await self._job(action)
            # Here the resource manager reserves the budget, in the transaction of the intent.
            intent = await EFFECTS[action.kind].plan(job) | {"key": job.key, "version": job.version}
        except Stale as error:
            return await self._leave(action, action.moved(ActionState.FAILED, str(error)))
        except Retryable as error:
            return await self._postpone(action, error)
        except Exception as error:  # an account may raise anything; nothing was done yet
            return await self._leave(action, action.moved(ActionState.FAILED, _said(error)))
        async with self._ledger.write() as tx:
            begun = await attempts.begin(tx, self._ledger.vault, action, intent | {"account": job.provider.account})
        if begun is not None:
            ended = await self._tried(replace(job, action=begun, intent=intent))
            await self._leave(begun, ended)

    async def _tried(self, job: Job) -> ActionRecord:
        """Call the account and return the action as it stands then."""
        effect = asyncio.ensure_future(EFFECTS[job.action.kind].apply(job))
        # It is not cancelled: a thread or a server goes on regardless, and must have ended before it is asked about.
        await asyncio.wait({effect}, timeout=self._limit)
        if not effect.done():
            self._late[job.action.id] = effect
            return job.action.moved(ActionState.UNKNOWN, f"It took longer than {self._limit:g} s. {_UNKNOWN}")
        error = effect.exception()
        if error is None:
            return job.action.moved(ActionState.DONE, job.action.reason, result=effect.result())
        log.warning("effect failed", action=job.action.id, kind=job.action.kind, exc_info=error)
        perhaps = (OutcomeUnknown, Retryable)
        if isinstance(error, BrodyError) and (isinstance(error, Stale) or not isinstance(error, perhaps)):
            return job.action.moved(ActionState.FAILED, str(error))
        return job.action.moved(ActionState.UNKNOWN, f"{_said(error)} {_UNKNOWN}")

    async def _settle(self, action: ActionRecord) -> None:
        """Ask the account what became of an action."""
        late = self._late.get(action.id)
        if late is not None and not late.done():
            return await self._leave(action, replace(action, not_before=_later(0)))
        if self._late.pop(action.id, None) is not None and late is not None:
            late.exception()  # seen; what counts is what the account says
        try:
            finding = await EFFECTS[action.kind].reconcile(await self._job(action))
        except Retryable as error:
            return await self._postpone(action, error)
        except Exception as error:  # whatever it is, nobody knows the outcome now
            return await self._leave(action, replace(action, reason=_said(error), not_before=_later(12)))
        if isinstance(finding, Done):
            await self._leave(action, action.moved(ActionState.DONE, "", result=finding.result))
        elif not isinstance(finding, NotDone):
            await self._leave(action, replace(action, reason=f"{finding.why} You decide.", not_before=_later(12)))
        elif action.fence >= MOST_ATTEMPTS:
            await self._leave(action, action.moved(ActionState.FAILED, f"Given up after {action.fence} attempts."))
        else:
            again = action.moved(ActionState.APPROVED, action.reason, not_before=_later(action.fence - 1))
            await self._leave(action, again)

    async def _leave(self, action: ActionRecord, now: ActionRecord) -> None:
        """Write how an action stands, unless somebody else has moved it, and tell of what has ended."""
        ended: Sequence[ActionRecord] = [now] if now.state.final else []
        async with self._ledger.write() as tx:
            if not await attempts.leave(tx, self._ledger.vault, action.state, now):
                return
            stored, following = await self._told(tx, ended)
        await self._publish(stored)
        self._runs.note(following.completed, closed=())

    # -- what it needs ---------------------------------------------------------------------------------

    async def _job(self, action: ActionRecord) -> Job:
        """Find the account and the item; the intent, once written, says where the item lay."""
        if action.kind not in EFFECTS:
            raise NoEffect(f"Nothing here carries out {action.kind} yet.")
        arguments = CATALOGUE[action.kind].model.model_validate(action.arguments)
        effect, intent = EFFECTS[action.kind], action.intent or {}
        account, key, version = intent.get("account"), intent.get("key", ""), intent.get("version")
        if not intent or action.state is ActionState.APPROVED:
            account, key, version = await self._place(action, arguments, effect.domain)
        provider = await self._accounts.provider(self._ledger, action.user_id, effect.domain, account or "")
        return Job(action, arguments, provider, key, version, intent)

    async def _place(self, action: ActionRecord, arguments: Any, domain: str) -> tuple[str, str, str | None]:
        item_id = getattr(arguments, "email_id" if domain == "mail" else "document_id", None)
        if item_id is None or action.kind == "file.create":
            return arguments.account, "", None
        find = attempts.mail if domain == "mail" else attempts.document
        async with self._ledger.read() as tx:
            item = await find(tx, action.user_id, item_id)
        if item is None or arguments.account not in ("", item.account):
            raise NotFound(f"There is no item {item_id} in {arguments.account or 'any account'}.", "Read it again.")
        return item.account, item.key, getattr(arguments, "version", None) or item.version


def _later(doublings: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=min(2.0 ** max(doublings, 0), 3600))


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, BrodyError) else f"{type(error).__name__}: {error}"
