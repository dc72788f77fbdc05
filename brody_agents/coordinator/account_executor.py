"""The executor of effects on accounts: intent first, then the effect, then the result; what is unclear is asked.

A crash, a time-out or an error that leaves the outcome open makes an action ``unknown``. It leaves that state only
when its account was asked: it took place (``done``), it surely did not (``approved`` again, later), or a person looks.
Accounts are worked on side by side, each in order; what they want to write at the same time shares a transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from brody_agents.action import CATALOGUE, ActionState
from brody_agents.communication.bus.base import partition_of
from brody_agents.coordinator import outlets, pauses
from brody_agents.coordinator.account_effects import EFFECTS, KINDS
from brody_agents.coordinator.account_effects.base import AccountSource, Done, Job, NotDone
from brody_agents.coordinator.account_lanes import AccountLanes
from brody_agents.coordinator.conflicts.files import held_back
from brody_agents.coordinator.executor import Executor, Publish
from brody_agents.coordinator.inverses import NEVER_DONE, ended, is_taken_back, step_of
from brody_agents.coordinator.progress import Following, RunBook
from brody_agents.coordinator.resource_manager import Admission, ResourceManager
from brody_agents.coordinator.spending import Spending
from brody_agents.errors import (
    BrodyError,
    Denied,
    LedgerFull,
    NotFound,
    NotSent,
    OutcomeUnknown,
    ProviderUnavailable,
    Retryable,
    Stale,
    said,
)
from brody_agents.ledger import attempts
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.group_commit import GroupCommit
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Stored
from brody_agents.ledger.outages import AWAY, Outages
from brody_agents.ledger.settling import asking, settled
from brody_agents.observability import logger
from brody_agents.policy.recall import HELD, leaves_at
from brody_agents.registry import Registry

log = logger(__name__)
T = TypeVar("T")
AT_ONCE = 64
PLACES = 8
"""Accounts that are worked on side by side."""
LIMIT = 60.0
"""Seconds that an effect may take before its outcome counts as unknown."""
PATIENCE = 2.0
"""Seconds that an action waits in its place for the rate window of its account; longer pauses lie in the ledger."""
GRACE = 5.0
"""Seconds after its intent in which a worker begins an effect; a worker that slept for longer leaves it."""
TAKEOVER = 10.0
"""Seconds after which a new worker asks about what the one before it began: until then that one may still begin it."""
_UNKNOWN = "Its outcome is unknown; the account is asked before anything is tried again."
_AWAY = (*AWAY, LedgerFull)


class AccountExecutor(Executor):
    """Work off the approved and the unknown actions on accounts.

    ``partitions`` are those of the users whose actions it carries out; ``None``, for all, takes a worker that is alone
    with its ledger. No two executors may have one in common, but for a while after one was lost: fences see to that.
    """

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        runs: RunBook,
        publish: Publish,
        accounts: AccountSource,
        limit: float = LIMIT,
        *,
        resources: ResourceManager | None = None,
        partitions: frozenset[int] | None = None,
        recall: float = 0.0,
        outages: Outages | None = None,
    ) -> None:
        super().__init__(ledger, registry, runs, publish, outages=outages)
        self._accounts = accounts
        self._limit = limit
        self._partitions = partitions
        self._resources = resources or ResourceManager(ledger)
        self._spending = Spending(self._resources)
        self._group = GroupCommit(ledger)
        self._lanes = AccountLanes(PLACES, self.wake)
        self._recall = recall
        self._late: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._at: dict[str, int] = {}
        """The actions that this process is at, from before their intent until their call has ended, with partitions."""
        self._in_doubt: set[str] = set()
        """Those that it was at when a commit was not answered: one may have been begun without our knowing it."""

    async def run(self) -> None:
        """Take over what a dead process left, then carry out actions until ``stop``."""
        await self.recover(self._partitions, grace=self._grace)
        try:
            await super().run()
        finally:
            await self._lanes.close()

    async def hold(self, partitions: frozenset[int]) -> None:
        """Carry out the actions of these partitions from now on, and take over those that were another worker's."""
        new = partitions - (self._partitions or frozenset())
        self._partitions = partitions
        if new:
            await self.recover(new, grace=TAKEOVER)
        self.wake()

    @property
    def _grace(self) -> float:
        """Seconds in which somebody else may still begin what nobody here is at."""
        return 0.0 if self._partitions is None else TAKEOVER

    def at_work(self) -> frozenset[int]:
        """Return the partitions of the users for whom something is under way."""
        return frozenset(self._at.values())

    async def recover(self, partitions: frozenset[int] | None = None, *, grace: float = 0.0) -> int:
        """Make ``unknown`` what is ``executing`` in these partitions although nobody is at it; return how much it was.

        It is asked about after ``grace`` seconds: 0 where the worker before is known to be dead.
        """

        async def work(tx: AsyncConnection) -> int:
            after = datetime.now(UTC) + timedelta(seconds=grace) if grace else None
            await self._spending.sweep(tx, timedelta())
            return await attempts.orphan(tx, KINDS, partitions=partitions, but=self._at, not_before=after)

        return await self._write(work)

    def check(self) -> None:
        """Raise what ended the work on an account, if something did: no wait for the database mends that."""
        self._lanes.check()

    async def carry_out(self) -> int:
        """Begin what is due on accounts that nothing is under way on; return how many actions there were."""
        if not self._lanes.free:
            return 0
        try:
            if over := self._in_doubt - self._at.keys():
                self._in_doubt -= over
                await self.recover(self._partitions, grace=self._grace)
            waiting, noted = await self._waiting()
        except LedgerFull as error:
            log.warning("the ledger is away", error=str(error))
            return 0
        begun = list(waiting)[: self._lanes.free]
        for account in begun:
            self._lanes.start(account, self._work(account, waiting[account]))
        return noted + sum(len(waiting[account]) for account in begun)

    async def _waiting(self) -> tuple[dict[str, list[ActionRecord]], int]:
        """Return what is due, by the account that it works on, each in order.

        The accounts of what has to wait are noted, so that the next look finds what is behind it; return of how many.
        """
        vault, busy = self._ledger.vault, self._lanes.busy
        async with self._ledger.read() as tx:
            found = await attempts.due(tx, vault, KINDS, AT_ONCE, partitions=self._partitions, busy=busy)
            held = await held_back(tx, found)
        by_account: defaultdict[str, list[ActionRecord]] = defaultdict(list)
        for action in found:
            if action.id in held:
                await self._hold_back(action)
            else:
                by_account[await self._account_of(action)].append(action)
        noted = {of[0].id for account, of in by_account.items() if account not in busy} | set(self._at)  # by intents
        of_all = [(a, account) for account, of in by_account.items() for a in of]
        new = {a.id: account for a, account in of_all if a.account is None and a.id not in noted}
        if new:
            await self._write(lambda tx: attempts.locate(tx, new))
        return {account: of for account, of in by_account.items() if account not in busy}, len(new)

    async def _work(self, account: str, queue: Sequence[ActionRecord]) -> None:
        """Carry out the actions on one account, one after the other."""
        for position, action in enumerate(queue):
            if self._stopping or not self._has(action):
                return
            self._at[action.id] = partition_of(action.user_id)
            try:
                closed = await self._one(action)
                if (late := self._late.get(action.id)) and not self._stopping:
                    self._lanes.hangs(account)
                    await asyncio.wait({late})
                    return
            finally:
                del self._at[action.id]
            if closed is not None:  # so it is for all the others
                await asyncio.gather(*(self._put_off(other, closed) for other in queue[position + 1 :]))
                return

    def _has(self, action: ActionRecord) -> bool:
        return self._partitions is None or partition_of(action.user_id) in self._partitions

    # -- an action's way -------------------------------------------------------------------------------

    async def _one(self, action: ActionRecord) -> Denied | None:
        """Do what there is to be done with an action; return what closes its account to all, if something does."""
        return await (self._settle(action) if action.state is ActionState.UNKNOWN else self._attempt(action))

    async def _put_off(self, action: ActionRecord, error: BaseException) -> None:
        """Have an action wait that could not be begun, or asked about; end it where waiting is in vain."""
        when = pauses.until(error, action.tries + 1)
        if when is not None:
            await self._leave(action, _waiting(action, said(error), when))
        elif action.state is ActionState.UNKNOWN:  # whatever it is, nobody knows the outcome now
            await self._leave(action, _waiting(action, said(error), _again(action)))
        else:
            await self._leave(action, action.moved(ActionState.FAILED, said(error)))

    async def _hold_back(self, action: ActionRecord) -> None:
        """Have a move wait for the shares of its file."""
        why = "It waits until it is decided with whom the file is shared."
        await self._leave(action, _waiting(action, why, pauses.after(pauses.HELD_BACK, action.tries + 1)))

    async def _attempt(self, action: ActionRecord) -> Denied | None:
        """Carry an approved action out, or backwards."""
        if is_taken_back(action):
            await self._leave(action, action.moved(ActionState.UNDONE, NEVER_DONE))
            return None
        if action.tries or action.fence:  # what it waited for is over
            action = replace(action, reason="")
        try:
            job = await self._job(action)
        except Exception as error:  # an account may raise anything; nothing was done yet
            await self._put_off(action, error)
            return None
        try:
            admission = await self._resources.admit(job.provider.account, patience=PATIENCE)
        except Denied as denied:
            await self._put_off(action, denied)
            return denied
        except (BrodyError, OSError) as error:
            await self._put_off(action, error)
            return None
        await self._admitted(job, admission)
        return None

    async def _admitted(self, job: Job, admission: Admission) -> None:
        """Make the attempt at an action whose account may be called now."""
        action = job.action
        try:
            async with asyncio.timeout(self._limit):
                intent = {"key": job.key, "version": job.version} | await step_of(action).plan(job)
        except Exception as error:
            await self._learn(admission, error)
            return await self._put_off(action, error)
        if (until := leaves_at(action, self._recall)) is not None and until > datetime.now(UTC):
            await self._unused(admission)
            return await self._leave(action, replace(action, not_before=until, held_until=until))
        began = time.monotonic()
        try:
            begun = await self._begin(replace(job, intent=intent | {"account": job.provider.account}))
        except Exception as error:
            await self._unused(admission)
            if isinstance(error, _AWAY):
                raise
            return await self._put_off(action, error)
        if begun is None or time.monotonic() - began > GRACE:
            await self._unused(admission)
            return await self._overslept(begun) if begun else None
        now, failure = await self._tried(replace(job, action=begun, intent=intent))
        await self._leave(begun, now)
        await self._learn(admission, failure)

    async def _learn(self, admission: Admission, failure: BaseException | None) -> None:
        """Say how a call ended; while the ledger is away nobody learns of it, which does no harm."""
        with suppress(*_AWAY, TimeoutError):
            await self._resources.report(admission, failure)

    async def _unused(self, admission: Admission) -> None:
        """Give an admission back; while the ledger is away it ends by itself."""
        with suppress(*_AWAY, TimeoutError):
            await self._resources.withdraw(admission)

    async def _begin(self, job: Job) -> ActionRecord | None:
        """Write the intent and reserve what the attempt will use, or neither; ``None`` when another was first."""

        async def work(tx: AsyncConnection) -> ActionRecord | None:
            begun = await attempts.begin(tx, self._ledger.vault, job.action, job.intent)
            if begun is not None:
                await self._spending.reserve(tx, step_of(begun), job, begun)
            return begun

        return await self._write(work)

    async def _overslept(self, begun: ActionRecord) -> None:
        """Leave an effect alone that was not begun in time: somebody may have taken it over."""
        when = pauses.after(pauses.ATTEMPTS, begun.fence)
        await self._leave(begun, begun.moved(ActionState.APPROVED, "The worker was held up.", not_before=when))

    async def _tried(self, job: Job) -> tuple[ActionRecord, BaseException | None]:
        """Call the account; return the action as it stands then, and what went wrong."""
        effect = asyncio.ensure_future(step_of(job.action).apply(job))
        # It is not cancelled: a thread or a server goes on regardless, and must have ended before it is asked about.
        await asyncio.wait({effect}, timeout=self._limit)
        if not effect.done():
            self._late[job.action.id] = effect
            slow = ProviderUnavailable(f"It took longer than {self._limit:g} s.", _UNKNOWN)
            return job.action.moved(ActionState.UNKNOWN, str(slow)), slow
        error = effect.exception()
        if error is None:
            return job.action.moved(ActionState.DONE, job.action.reason, result=effect.result()), None
        log.warning("effect failed", action=job.action.id, kind=job.action.kind, exc_info=error)
        if isinstance(error, NotSent):
            policy = pauses.DEFERRED if job.action.kind in HELD else pauses.ATTEMPTS
            return _once_more(job.action, said(error), policy), error
        perhaps = (OutcomeUnknown, Retryable)
        if isinstance(error, BrodyError) and (isinstance(error, Stale) or not isinstance(error, perhaps)):
            return job.action.moved(ActionState.FAILED, said(error)), error
        return job.action.moved(ActionState.UNKNOWN, f"{said(error)} {_UNKNOWN}"), error

    async def _settle(self, action: ActionRecord) -> Denied | None:
        """Ask the account what became of an action."""
        late = self._late.get(action.id)
        if late is not None and not late.done():
            await self._leave(action, replace(action, not_before=_again(action)))
            return None
        if self._late.pop(action.id, None) is not None and late is not None:
            late.exception()  # seen; what counts is what the account says
        if action.settled is not None:
            await self._leave(action, settled(action))
            return None
        try:
            job = await self._job(action)
            async with self._resources.calling(job.provider.account, patience=PATIENCE), asyncio.timeout(self._limit):
                finding = await step_of(action).reconcile(job)
        except Denied as denied:
            await self._put_off(action, denied)
            return denied
        except Exception as error:
            await self._put_off(action, error)
            return None
        if isinstance(finding, Done):
            await self._leave(action, action.moved(ActionState.DONE, "", result=finding.result))
        elif isinstance(finding, NotDone):
            await self._leave(action, _once_more(action, "It did not happen."))
        else:
            asked = asking(action, finding.why)
            await self._leave(action, _waiting(asked, asked.reason, _again(action)))
        return None

    # -- writing ---------------------------------------------------------------------------------------

    async def _leave(self, action: ActionRecord, now: ActionRecord) -> None:
        """Write how an action stands, unless somebody else has moved it, and tell of what has ended."""
        now = ended(action, now)
        over: Sequence[ActionRecord] = [now] if now.state.final else []
        runs = [now.run_id] if now.run_id and now.put_off else []

        async def work(tx: AsyncConnection) -> tuple[list[Stored], Following] | None:
            if not await attempts.leave(tx, self._ledger.vault, action.state, now):
                return None
            await self._spending.close(tx, action.state, now)
            return await self._told(tx, over, runs)

        told = await self._write(work)
        if told is None:
            return self._spending.forget(action.id)
        stored, following = told
        await self._publish(stored)
        self._runs.note(following.completed, closed=())

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Write together with whoever writes now; while the ledger is away, wait for it, unless all is to stop.

        The work may be done twice, the second time on top of what the first has committed.
        """

        def gives_up(state: RetryCallState) -> bool:
            self._in_doubt |= self._at.keys()
            return self._stopping

        again = AsyncRetrying(
            retry=retry_if_exception_type((*_AWAY, TimeoutError)),  # of a commit, it says nothing
            wait=wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1),
            stop=gives_up,
            reraise=True,
        )
        return await again(self._group.write, work)

    # -- what it needs ---------------------------------------------------------------------------------

    async def _job(self, action: ActionRecord) -> Job:
        """Find the account and the item; the intent, once written, says where the item lay."""
        effect, intent = step_of(action), action.intent or {}
        arguments = CATALOGUE[action.kind].model.model_validate(action.arguments)
        if effect.domain in outlets.DOMAINS:
            return await outlets.job_of(self._ledger, self._accounts, action, arguments, effect.domain)
        account, key, version = intent.get("account"), intent.get("key", ""), intent.get("version")
        if not action.undoing and (not intent or action.state is ActionState.APPROVED):
            account, key, version = await self._place(action, arguments, effect.domain)
        provider = await self._accounts.provider(self._ledger, action.user_id, effect.domain, account or "")
        known = (action.undo or {}) if action.undoing else intent
        job = Job(action, arguments, provider, key, version, intent=known, ledger=self._ledger)
        drafting = action.kind == "mail.draft" and not action.undoing
        return await outlets.with_author(self._ledger, self._accounts, job) if drafting else job

    async def _account_of(self, action: ActionRecord) -> str:
        """Return the account that an action works on; an empty word where there is none, which its attempt will say."""
        if action.account is not None or action.kind not in EFFECTS:
            return action.account or ""
        try:
            arguments = CATALOGUE[action.kind].model.model_validate(action.arguments)
            if EFFECTS[action.kind].domain in outlets.DOMAINS:
                return str((await self._job(action)).provider.account)
            named: str = getattr(arguments, "account", "")
            return named or (await self._place(action, arguments, EFFECTS[action.kind].domain))[0]
        except AWAY:
            raise  # it says nothing of the action
        except Exception:  # whatever is wrong with it, its attempt says so
            return ""

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


def _once_more(action: ActionRecord, why: str, policy: pauses.Policy = pauses.ATTEMPTS) -> ActionRecord:
    """Return an action that surely was not carried out: approved again, or given up."""
    pause = policy.pause(action.fence)
    if pause is None:
        return action.moved(ActionState.FAILED, f"{why} Given up after {action.fence} attempts.")
    when = datetime.now(UTC) + timedelta(seconds=pause)
    return action.moved(ActionState.APPROVED, f"{why} It is tried again.", not_before=when, tries=0)


def _waiting(action: ActionRecord, why: str, until: datetime) -> ActionRecord:
    return replace(action, reason=why, not_before=until, tries=action.tries + 1)


def _again(action: ActionRecord) -> datetime:
    return pauses.after(pauses.OUTCOME, action.tries + 1)
