"""Rate windows: no more than so many calls of a provider account in any stretch of time, over all workers.

A window slides in slices of a twentieth: a slice counts as a whole until its end has left the window, so that the
count errs on the strict side. On Redis it is one key an account and one script a question (the key's tag keeps it on
one node of a cluster); the server's clock counts. Without Redis each worker has its own share of the limit.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import RedisError

from brody_agents.communication.bus.base import PARTITIONS, Bus
from brody_agents.communication.bus.redis_streams import RedisStreamsBus
from brody_agents.errors import ConfigurationError
from brody_agents.observability import logger

if TYPE_CHECKING:
    from brody_agents.communication.bus.redis_streams import Client

log = logger(__name__)
SLICES = 20
PAUSE = 5.0
"""Seconds after which a server that was lost is tried again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` units in any ``seconds``; whatever is longer than an hour is a budget."""

    limit: int
    seconds: float

    def __post_init__(self) -> None:
        if self.limit < 1 or self.seconds < 0.1:
            raise ConfigurationError(f"{self} is no rate.", "Give a limit of 1 or more, in 0.1 seconds or more.")

    @classmethod
    def of(cls, text: str) -> Rate:
        """Return the rate that a person wrote as ``250/60``: 250 in 60 seconds; raise ``ConfigurationError``."""
        limit, _, seconds = text.partition("/")
        try:
            return cls(int(limit), float(seconds))
        except ValueError:
            raise ConfigurationError(f"{text!r} is no rate.", "Write it like 250/60: 250 in 60 seconds.") from None

    @property
    def width(self) -> int:
        """Return the length of a slice in milliseconds."""
        return math.ceil(self.seconds * 1000 / SLICES)

    def share(self, workers: int) -> Rate:
        """Return a part of it such that as many workers, each with its own, never exceed it together."""
        if self.limit >= workers:
            return Rate(self.limit // workers, self.seconds)
        return Rate(1, self.seconds * math.ceil(workers / self.limit))


class Window(Protocol):
    """A place that counts."""

    async def take(self, account: str, rate: Rate, amount: int) -> float:
        """Count an amount and return 0, or count nothing and return the seconds until there is room for it."""


class LocalWindow:
    """Count in this process; ``clock`` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, dict[int, int]] = {}

    async def take(self, account: str, rate: Rate, amount: int) -> float:
        """Count an amount, or return the seconds until there is room."""
        now = int(self._clock() * 1000)
        counts = self._live(account, rate, now)
        over = sum(counts.values()) + amount - rate.limit
        for slice_, count in sorted(counts.items()):
            if over <= 0:
                break
            over -= count
            if over <= 0:
                return ((slice_ + SLICES + 1) * rate.width - now) / 1000
        if over > 0:
            return rate.seconds
        self._count(counts, now // rate.width, amount)
        return 0.0

    def fill(self, account: str, rate: Rate) -> None:
        """Count as much as there may be: nothing is known of what was used before."""
        now = int(self._clock() * 1000)
        self._counts[account] = {now // rate.width: rate.limit}

    def used(self, account: str, rate: Rate) -> int:
        """Return what counts in the window now."""
        return sum(self._live(account, rate, int(self._clock() * 1000)).values())

    def _live(self, account: str, rate: Rate, now: int) -> dict[int, int]:
        oldest = now // rate.width - SLICES
        kept = {s: count for s, count in self._counts.get(account, {}).items() if s >= oldest}
        self._counts[account] = kept
        return kept

    @staticmethod
    def _count(counts: dict[int, int], slice_: int, amount: int) -> None:
        counts[slice_] = counts.get(slice_, 0) + amount


_SCRIPT = """
local limit, width, slices = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local amount, debt = tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local current = math.floor(now / width)
local counts, order, used = {}, {}, 0
if debt > 0 then redis.call('HINCRBY', KEYS[1], current, debt) end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local slice, count = tonumber(all[i]), tonumber(all[i + 1])
  if slice < current - slices then
    redis.call('HDEL', KEYS[1], all[i])
  else
    if slice > current then -- the clock went back: count it as of now, or it would block for that long
      redis.call('HDEL', KEYS[1], all[i])
      redis.call('HINCRBY', KEYS[1], current, count)
      slice = current
    end
    if not counts[slice] then order[#order + 1] = slice end
    counts[slice] = (counts[slice] or 0) + count
    used = used + count
  end
end
local over, wait = used + amount - limit, 0
table.sort(order)
for _, slice in ipairs(order) do
  if over <= 0 then break end
  over = over - counts[slice]
  wait = (slice + slices + 1) * width - now
end
if over > 0 then wait = slices * width end
if wait == 0 then redis.call('HINCRBY', KEYS[1], current, amount) end
redis.call('PEXPIRE', KEYS[1], (slices + 2) * width)
return wait
"""


class RedisWindow:
    """Count on Redis or Valkey, for all workers; ``prefix`` keeps several homes apart on one server."""

    def __init__(self, client: Client, prefix: str = "brody") -> None:
        self._script = client.register_script(_SCRIPT)
        self._prefix = prefix

    async def take(self, account: str, rate: Rate, amount: int, debt: int = 0) -> float:
        """Count an amount, or return the seconds until there is room; a ``debt`` is counted in any case."""
        arguments = (rate.limit, rate.width, SLICES, amount, debt)
        wait: Any = await self._script(keys=[self.key(account)], args=list(arguments))
        return int(wait) / 1000

    def key(self, account: str) -> str:
        """Return the one key of an account; a hash, since an account's name may say whose it is."""
        tag = hashlib.blake2b(account.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return f"{self._prefix}:{{{tag}}}:rate"


class SharedWindow:
    """Count on Redis, and in this process while it is lost: then with this worker's share, from a full window on.

    ``workers`` is how many there may be at most. What was counted here is told to the server when it is back.
    """

    def __init__(
        self, shared: RedisWindow, workers: int = PARTITIONS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared, self._workers, self._clock = shared, workers, clock
        self._local = LocalWindow(clock)
        self._lost: dict[str, float] = {}
        """When each account was last refused by the server; it is counted here until the server is back."""

    async def take(self, account: str, rate: Rate, amount: int) -> float:
        """Count an amount, or return the seconds until there is room."""
        share = rate.share(self._workers)
        lost = account in self._lost
        if lost and self._clock() - self._lost[account] < PAUSE:
            return await self._local.take(account, share, amount)
        try:
            debt = self._local.used(account, share) if lost else 0
            wait = await self._shared.take(account, rate, amount, debt)
        except (RedisError, OSError) as error:
            if not lost:
                log.warning("rate windows lost; counting a share of them here", error=str(error))
                self._local.fill(account, share)
            self._lost[account] = self._clock()
            return await self._local.take(account, share, amount)
        self._lost.pop(account, None)
        return wait


def window_of(bus: Bus, workers: int = PARTITIONS) -> Window:
    """Return the window on the server of a bus, for all workers, or one in this process where it has none."""
    if not isinstance(bus, RedisStreamsBus):
        return LocalWindow()
    return SharedWindow(RedisWindow(bus.client, bus.prefix), workers)


def rate_of(rates: Mapping[str, Rate], account: str) -> Rate | None:
    """Return an account's rate: its own, or the one of its word (``gmail`` for ``gmail:ada@…``)."""
    return rates.get(account) or rates.get(account.partition(":")[0])
