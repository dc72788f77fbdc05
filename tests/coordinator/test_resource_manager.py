"""The resource manager around an effect: budgets in its transactions, rate windows, circuit breakers, leases."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from brody_agents.coordinator.circuit_breaker import Patience
from brody_agents.coordinator.rate_windows import LocalWindow, Rate, RedisWindow, SharedWindow, Window
from brody_agents.coordinator.resource_manager import Admission, ResourceManager, Spender, Unit, Want
from brody_agents.errors import (
    BrodyError,
    ConfigurationError,
    Denied,
    Fenced,
    LeaseHeld,
    ProviderError,
    ProviderUnavailable,
    Stale,
)
from brody_agents.ledger import leases
from brody_agents.ledger.budgets import Budgets
from brody_agents.ledger.ledger import Ledger

ACCOUNT = "ai:ada@model.example"
PATIENCE = Patience(failures=3, pause=timedelta(seconds=10), longest=timedelta(seconds=35))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.integration)])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    opened = await Ledger.open(None, url)
    yield opened
    await opened.close()


@pytest.fixture
def manager(ledger: Ledger, clock: Clock) -> ResourceManager:
    """Return a manager with no rates and a short patience."""
    return ResourceManager(ledger, patience=PATIENCE, clock=clock)


class Overloaded(ProviderUnavailable):
    """What a provider says with HTTP 429."""

    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__("Too many requests.")
        self.retry_after = retry_after


async def refused(manager: ResourceManager, account: str = ACCOUNT) -> Denied:
    """Return why an account may not be called now."""
    with pytest.raises(Denied) as caught:
        await manager.admit(account)
    return caught.value


async def fail(manager: ResourceManager, times: int, failure: BaseException | None = None) -> None:
    """Call and fail."""
    for _ in range(times):
        await manager.report(await manager.admit(ACCOUNT), failure or ProviderUnavailable("It hangs."))


# -- around an effect ---------------------------------------------------------------------------------


async def carry_out(
    manager: ResourceManager, ledger: Ledger, spender: Spender, effect: Callable[[], int]
) -> tuple[str, int]:
    """Carry out an effect as an executor would: intent with its reservation, effect, result with its settlement."""
    assert spender.provider is not None
    admission = await manager.admit(spender.provider)
    try:
        async with ledger.write() as tx:  # … and the intent
            reservation = await manager.reserve(tx, spender, [Want(Unit.CALLS, 1), Want(Unit.TOKENS, 50)])
    except BrodyError:
        await manager.report(admission)  # nothing was called: nothing speaks against the account
        raise
    failure: BaseException | None = None
    try:
        tokens = effect()
    except ProviderError as error:  # it has refused: nothing was used but the call
        failure, tokens = error, 0
    except ProviderUnavailable as error:
        await manager.report(admission, error)
        raise  # unknown: the reservation stays until somebody knows
    await manager.report(admission, failure)
    async with ledger.write() as tx:  # … and the result
        over = await manager.settle(tx, reservation, {Unit.TOKENS: tokens})
    return ("failed" if failure else "done"), len(over)


def works(tokens: int) -> Callable[[], int]:
    return lambda: tokens


def raises(error: Exception) -> Callable[[], int]:
    def effect() -> int:
        raise error

    return effect


async def test_an_effect_is_wrapped(ledger: Ledger, manager: ResourceManager) -> None:
    """Done, refused by the provider, unknown and recovered, denied."""
    budgets = Budgets(ledger)
    await budgets.set("user", "ada", "tokens", 100)
    await budgets.set("provider", ACCOUNT, "calls", 3)

    def spender(action: str, fence: int = 1) -> Spender:
        return Spender(action, fence, provider=ACCOUNT, user="ada")

    async def used() -> dict[str, tuple[int, int]]:
        return {usage.budget.unit: (usage.used, usage.reserved) for usage in await budgets.usage()}

    assert await carry_out(manager, ledger, spender("one"), works(20)) == ("done", 0)
    assert await carry_out(manager, ledger, spender("two"), raises(ProviderError("No."))) == ("failed", 0)
    assert await used() == {"calls": (2, 0), "tokens": (20, 0)}
    with pytest.raises(ProviderUnavailable):
        await carry_out(manager, ledger, spender("three"), raises(ProviderUnavailable("It hangs.")))
    assert await used() == {"calls": (2, 1), "tokens": (20, 50)}
    with pytest.raises(Denied) as caught:
        await carry_out(manager, ledger, spender("four"), works(1))
    assert caught.value.budget == f"provider/{ACCOUNT}/calls"
    async with ledger.write() as tx:  # asked, the provider says that it never happened
        recovered = await manager.recover(tx, "three", 2)
        assert recovered is not None
        await manager.release(tx, recovered)
    assert await carry_out(manager, ledger, spender("three", 3), works(90)) == ("done", 1)
    assert await used() == {"calls": (3, 0), "tokens": (110, 0)}


# -- rate windows -------------------------------------------------------------------------------------


async def test_a_rate_is_kept_for_each_account_of_a_word(ledger: Ledger, clock: Clock) -> None:
    manager = ResourceManager(ledger, LocalWindow(clock.seconds), rates={"ai": Rate(2, 10)}, clock=clock)
    for _ in range(2):
        await manager.admit("ai:one")
    refusal = await refused(manager, "ai:one")
    assert "ai:one may be called 2 times in 10 seconds, and was." in str(refusal)
    assert refusal.retry_after is not None
    assert refusal.frees_at == clock.now + timedelta(seconds=refusal.retry_after)
    assert 10 <= refusal.retry_after <= 10.5
    await manager.admit("ai:two")
    clock.forward(refusal.retry_after - 0.002)
    await refused(manager, "ai:one")
    clock.forward(0.002)
    await manager.admit("ai:one")
    await manager.admit("other:one", 10**6)


async def test_who_has_patience_waits_for_the_window(ledger: Ledger) -> None:
    manager = ResourceManager(ledger, rates={"ai": Rate(1, 0.2)})
    await manager.admit("ai:one")
    admission = await manager.admit("ai:one", patience=5)
    assert 0.15 <= admission.waited <= 3


async def test_what_no_window_ever_admits_is_a_fault_of_the_caller(ledger: Ledger) -> None:
    manager = ResourceManager(ledger, rates={"ai": Rate(2, 10)})
    with pytest.raises(ConfigurationError, match="Split the call"):
        await manager.admit("ai:one", 3)


async def test_a_retry_by_tenacity_waits_as_long_as_it_is_told(ledger: Ledger) -> None:
    manager = ResourceManager(ledger, rates={"ai": Rate(1, 0.1)})

    @retry(
        retry=retry_if_exception_type(Denied),
        wait=lambda state: state.outcome.exception().retry_after,  # type: ignore[union-attr]
        stop=stop_after_attempt(3),
    )
    async def call() -> Admission:
        return await manager.admit("ai:one")

    assert [(await call()).account for _ in range(2)] == ["ai:one"] * 2


@given(steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 4)), max_size=60), limit=st.integers(4, 8))
@settings(deadline=None, max_examples=60)
def test_no_stretch_of_time_has_more_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    """Wherever the stretch begins; and whoever waits as long as they are told is admitted."""
    clock, rate, taken = Clock(), Rate(limit, 5), list[tuple[float, int]]()
    window = LocalWindow(clock.seconds)

    async def play() -> None:
        for pause, amount in steps:
            clock.forward(pause)
            waited = 0.0
            while wait := await window.take("a", rate, amount):
                assert 0 < wait <= rate.seconds * 1.05 + 0.001
                clock.forward(wait)
                waited += wait
            assert waited <= rate.seconds * 1.05 + 0.01
            taken.append((clock.seconds(), amount))

    asyncio.run(play())
    for begin, _ in taken:
        assert sum(amount for at, amount in taken if begin <= at < begin + rate.seconds) <= limit


@pytest.fixture(params=["memory", "valkey", "redis-server"])
async def window(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Window]:
    """Return a window on each backend in turn."""
    if request.param == "memory":
        yield LocalWindow()
        return
    from brody_agents.communication.bus.embedded import EmbeddedValkey

    server = await EmbeddedValkey.of_home(tmp_path) if request.param == "valkey" else None
    socket = server.socket if server else request.getfixturevalue("redis_server")
    async with Redis(unix_socket_path=str(socket)) as client:
        yield SharedWindow(RedisWindow(client, f"test:{tmp_path.name}"))
    if server:
        await server.stop()


async def test_a_window_counts_alike_on_every_backend(window: Window) -> None:
    rate = Rate(5, 60)
    waits = [await window.take("a", rate, amount) for amount in (2, 3, 1, 5)]
    assert waits[:2] == [0, 0]
    assert all(57 <= wait <= 63.1 for wait in waits[2:])
    assert await window.take("b", rate, 5) == 0
    quick = Rate(1, 0.1)
    assert await window.take("c", quick, 1) == 0
    wait = await window.take("c", quick, 1)
    assert 0 < wait <= 0.12
    await asyncio.sleep(wait)
    assert await window.take("c", quick, 1) == 0


async def test_two_workers_share_a_window_in_one_key_that_goes_by_itself(redis_server: Path, tmp_path: Path) -> None:
    rate = Rate(50, 60)
    async with Redis(unix_socket_path=str(redis_server)) as one, Redis(unix_socket_path=str(redis_server)) as two:
        windows = [SharedWindow(RedisWindow(client, f"test:{tmp_path.name}")) for client in (one, two)]
        waits = await asyncio.gather(*(windows[n % 2].take("a", rate, 1) for n in range(80)))
        assert sum(wait == 0 for wait in waits) == 50
        [key] = [key async for key in one.scan_iter(f"test:{tmp_path.name}*")]
        assert key.decode() == RedisWindow(one, f"test:{tmp_path.name}").key("a")
        assert 60_000 < await one.pttl(key) <= 66_100


async def test_a_clock_of_the_server_that_goes_back_blocks_for_one_window_only(
    redis_server: Path, tmp_path: Path
) -> None:
    """What was counted in the future counts as of now."""
    rate = Rate(5, 60)
    async with Redis(unix_socket_path=str(redis_server)) as client:
        window = RedisWindow(client, f"test:{tmp_path.name}")
        tomorrow = int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1000) // rate.width
        await client.hset(window.key("a"), str(tomorrow), "5")
        assert 57 <= await window.take("a", rate, 1) <= 63.1
        assert str(tomorrow).encode() not in await client.hkeys(window.key("a"))


async def test_without_redis_a_worker_has_its_share_and_begins_with_a_full_window(
    own_redis: tuple[Path, subprocess.Popen[bytes]], clock: Clock
) -> None:
    """Stricter, never looser: four workers together stay within the limit, whatever was used before."""
    socket, process = own_redis
    rate = Rate(8, 10)
    async with Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0)) as client:
        window = SharedWindow(RedisWindow(client), workers=4, clock=clock.seconds)
        assert await window.take("a", rate, 1) == 0
        await asyncio.to_thread(process.kill)
        await asyncio.to_thread(process.wait)
        wait = await window.take("a", rate, 1)
        assert 10 <= wait <= 10.5
        clock.forward(wait)
        assert [await window.take("a", rate, 1) == 0 for _ in range(3)] == [True, True, False]


async def test_what_was_counted_without_redis_is_told_to_it(redis_server: Path, clock: Clock, tmp_path: Path) -> None:
    """The server comes back empty, and no more is handed out for that."""
    rate = Rate(8, 1000)
    async with Redis(unix_socket_path="/nowhere/redis.sock", retry=Retry(NoBackoff(), 0)) as gone:
        shared = RedisWindow(gone, f"test:{tmp_path.name}")
        window = SharedWindow(shared, workers=4, clock=clock.seconds)
        await window.take("a", rate, 1)
        clock.forward(1051)
        assert await window.take("a", rate, 2) == 0
        async with Redis(unix_socket_path=str(redis_server)) as back:
            window._shared = RedisWindow(back, f"test:{tmp_path.name}")
            clock.forward(6)
            assert await window.take("a", rate, 7) > 0
            assert await window.take("a", rate, 6) == 0


@pytest.mark.parametrize(("limit", "workers"), [(8, 4), (8, 3), (1, 64), (10, 64), (65, 64)])
def test_shares_together_are_no_more_than_the_whole(limit: int, workers: int) -> None:
    rate = Rate(limit, 10)
    share = rate.share(workers)
    assert workers * share.limit / share.seconds <= limit / rate.seconds


# -- circuit breakers ---------------------------------------------------------------------------------


async def test_it_opens_after_failures_in_a_row(manager: ResourceManager) -> None:
    await fail(manager, 2)
    await manager.report(await manager.admit(ACCOUNT))
    await fail(manager, 3)
    refusal = await refused(manager)
    assert refusal.budget == f"breaker/{ACCOUNT}"
    assert refusal.retry_after == 10
    assert str(refusal) == f"{ACCOUNT} keeps failing and is left alone. It is tried again at 12:00:10 UTC."
    assert await manager.admit("ai:other") == Admission("ai:other")


@pytest.mark.parametrize("failure", [ProviderError("No."), Stale("It changed."), ValueError("Ours.")])
async def test_an_answer_is_no_outage(manager: ResourceManager, failure: Exception) -> None:
    await fail(manager, 2)
    await fail(manager, 1, failure)
    await fail(manager, 2)
    assert await manager.admit(ACCOUNT) == Admission(ACCOUNT)


@pytest.mark.parametrize("failure", [TimeoutError(), ConnectionResetError(), Overloaded()])
async def test_what_may_pass_is_an_outage(manager: ResourceManager, failure: Exception) -> None:
    await fail(manager, 3, failure)
    await refused(manager)


async def test_retry_after_is_honoured_at_once(manager: ResourceManager, clock: Clock) -> None:
    """Also when it is longer than any pause of ours; a shorter one is no reason to come earlier than ours."""
    await fail(manager, 1, Overloaded(retry_after=3600))
    assert (await refused(manager)).retry_after == 3600
    clock.forward(3600)
    probe = await manager.admit(ACCOUNT)
    await manager.report(probe, Overloaded(retry_after=1))
    assert (await refused(manager)).retry_after == 20


async def test_half_open_one_call_tries_and_closes_it(manager: ResourceManager, clock: Clock) -> None:
    await fail(manager, 3)
    clock.forward(10)
    probe, *others = await asyncio.gather(*(manager.admit(ACCOUNT) for _ in range(5)), return_exceptions=True)
    assert isinstance(probe, Admission)
    assert probe.probe == 1
    assert [type(other) for other in others] == [Denied] * 4
    assert "is being tried by one call" in str(others[0])
    await manager.report(probe)
    assert (await manager.admit(ACCOUNT)).probe is None


async def test_a_failed_probe_doubles_the_pause_up_to_the_longest(manager: ResourceManager, clock: Clock) -> None:
    await fail(manager, 3)
    for pause in (20, 35, 35):
        clock.forward(60)
        await manager.report(await manager.admit(ACCOUNT), TimeoutError())
        assert (await refused(manager)).retry_after == pause


async def test_a_probe_whose_worker_died_is_made_by_another(manager: ResourceManager, clock: Clock) -> None:
    """The first, should it come back, decides nothing any more."""
    await fail(manager, 3)
    clock.forward(10)
    first = await manager.admit(ACCOUNT)
    clock.forward(60)
    second = await manager.admit(ACCOUNT)
    await manager.report(first)
    await refused(manager)
    await manager.report(second)
    assert (await manager.admit(ACCOUNT)).probe is None


async def test_calls_from_before_it_opened_do_not_close_it(manager: ResourceManager) -> None:
    early = await manager.admit(ACCOUNT)
    late = await manager.admit(ACCOUNT)
    await fail(manager, 3)
    await manager.report(early)
    assert (await refused(manager)).retry_after == 10
    await manager.report(late, TimeoutError())
    assert (await refused(manager)).retry_after == 10


async def test_a_probe_that_the_rate_refuses_is_given_back(ledger: Ledger, clock: Clock) -> None:
    manager = ResourceManager(
        ledger, LocalWindow(clock.seconds), rates={"ai": Rate(3, 30)}, patience=PATIENCE, clock=clock
    )
    await fail(manager, 3)
    clock.forward(10)
    assert (await refused(manager)).budget == f"rate/{ACCOUNT}"
    clock.forward(30)
    assert (await manager.admit(ACCOUNT)).probe == 2


async def test_every_worker_sees_it_and_so_does_the_next_start(home: Path, clock: Clock) -> None:
    home.mkdir()  # noqa: ASYNC240
    ledgers = [await Ledger.open(home) for _ in range(2)]
    one, two = (ResourceManager(ledger, patience=PATIENCE, clock=clock) for ledger in ledgers)
    await fail(one, 2)
    await fail(two, 1)
    assert (await refused(one)).retry_after == 10
    for ledger in ledgers:
        await ledger.close()
    again = await Ledger.open(home)
    assert (await refused(ResourceManager(again, clock=clock))).retry_after == 10
    await again.close()


# -- leases -------------------------------------------------------------------------------------------

TTL = timedelta(seconds=30)


async def test_a_lease_is_held_by_one(manager: ResourceManager, clock: Clock) -> None:
    async with manager.lease("calendar", "one", TTL) as lease:
        with pytest.raises(LeaseHeld, match="one holds calendar until 12:00:30 UTC"):
            async with manager.lease("calendar", "two", TTL):
                pass
        async with manager.lease("mailbox", "two", TTL) as other:
            assert (lease.fence, other.fence) == (1, 1)
    async with manager.lease("calendar", "two", TTL) as lease:
        assert lease.fence == 2


async def test_who_was_taken_over_is_refused(ledger: Ledger, manager: ResourceManager, clock: Clock) -> None:
    """By number, also under the same name; giving up then changes nothing for the new holder."""
    async with ledger.write() as tx:
        old = await leases.acquire(tx, "calendar", "one", TTL, clock())
    clock.forward(30)
    async with manager.lease("calendar", "one", TTL) as new, ledger.write() as tx:
        with pytest.raises(Fenced, match=r"one no longer holds calendar \(number 1\)"):
            await leases.check(tx, old)
        with pytest.raises(Fenced):
            await leases.renew(tx, old, TTL, clock())
        assert not await leases.release(tx, old)
        await leases.check(tx, new)


async def test_a_lease_is_renewed_also_a_little_late(ledger: Ledger, clock: Clock) -> None:
    async with ledger.write() as tx:
        lease = await leases.acquire(tx, "calendar", "one", TTL, clock())
        clock.forward(31)
        renewed = await leases.renew(tx, lease, TTL, clock())
        assert (renewed.fence, renewed.expires_at) == (1, clock() + TTL)
        with pytest.raises(LeaseHeld):
            await leases.acquire(tx, "calendar", "two", TTL, clock())
        assert await leases.release(tx, renewed)


async def test_numbers_only_grow(ledger: Ledger, clock: Clock) -> None:
    fences = []
    for _ in range(4):
        async with ledger.write() as tx:
            lease = await leases.acquire(tx, "calendar", "one", TTL, clock())
            fences.append(lease.fence)
            if len(fences) % 2:
                await leases.release(tx, lease)
        clock.forward(30)
    assert fences == [1, 2, 3, 4]
