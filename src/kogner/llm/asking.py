"""Asking a model for millions of answers: cached, limited, retried, paid once, stopped in time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn, TypeVar

from kogner.errors import BudgetError, ConfigError, KognerError, ModelError
from kogner.llm.cache import Cache
from kogner.llm.formats import Formats
from kogner.llm.limits import POLL_S, Limits
from kogner.llm.model import STATUS, TIMED_OUT, CallError, Model
from kogner.llm.prices import Spending
from kogner.llm.request import Failure, Reply, Request
from kogner.llm.retries import BAD_FORM, LIMITED, REFUSED_REQUEST, TOO_LARGE, Counts, Retries, failure_of, hopeless

K = TypeVar("K")

_CACHED_AT_A_TIME = 64


class Asker:
    """A model with a cache, limits and a budget. One event loop, one asker: what it counts, it counts for one job.

    concurrency: calls under way at once; a local model may allow fewer. timeout_s: of one call.
    stop_after: so many failures in a row, without an answer between them, stop the run; None never does.
    seed: of the jitter, for tests.
    """

    def __init__(
        self,
        model: Model,
        cache: Cache | None = None,
        *,
        limits: Limits | None = None,
        spending: Spending | None = None,
        retries: Retries | None = None,
        timeout_s: float = 120.0,
        concurrency: int = 64,
        stop_after: int | None = 100,
        seed: int | None = None,
    ) -> None:
        if concurrency < 1:
            raise ConfigError(f"concurrency {concurrency} must be at least 1")
        if not 0 < timeout_s < float("inf"):
            raise ConfigError(f"time-out {timeout_s} must be more than 0 seconds")
        self.model, self.cache = model, cache
        self.limits, self.spending, self.retries = limits or Limits(), spending or Spending(), retries or Retries()
        self.timeout_s, self.stop_after, self.concurrency = timeout_s, stop_after, concurrency
        self.counts = Counts()
        self._slots = asyncio.Semaphore(min(concurrency, model.concurrency or concurrency))
        self._formats = Formats(model.ways)
        self._under_way: dict[str, asyncio.Task[Reply | Failure]] = {}
        self._settled = asyncio.Event()
        self._stopped: KognerError | None = None
        self._failed_in_a_row = 0
        self._example: Failure | None = None
        self._earlier: set[bytes] = set()  # what earlier runs paid for and this one met, each counted once
        self._random = random.Random(seed)

    async def ask(self, request: Request) -> Reply | Failure:
        """Ask once, or take the answer from the cache or from an equal request under way.

        Raises ModelError where no request can succeed (key, address, empty account, server down), BudgetError where
        this one could pass max_cost, ArtifactError where the cache cannot be used. After the first of these every later
        call raises it too; answers until then are in the cache, so that the next run goes on from there.
        """
        return self._known(request) or await self._ask_unknown(request)

    async def _ask_unknown(self, request: Request) -> Reply | Failure:
        task = self._under_way.get(request.hash)
        if task is not None:
            self.counts.shared += 1
        else:
            task = asyncio.create_task(self._pay(request))
            self._under_way[request.hash] = task
            task.add_done_callback(lambda done: self._over(request, done))
        return await asyncio.shield(task)

    async def ask_all(
        self, requests: Iterable[tuple[K, Request]], *, concurrency: int | None = None
    ) -> AsyncIterator[tuple[K, Reply | Failure]]:
        """Ask many, and yield each with its key as soon as it is there, in no order.

        The iterable is read only `concurrency` (the asker's, if not given) requests ahead of what was yielded. Where
        something stops the run (see `ask`), nothing new is asked, what is under way is yielded, then it is raised.
        Leaving early (`contextlib.aclosing`) drops what is under way; it may have been charged.
        """
        most = concurrency or self.concurrency
        done: asyncio.Queue[tuple[K, Reply | Failure | BaseException]] = asyncio.Queue()
        tasks: set[asyncio.Task[None]] = set()
        source, exhausted, waiting, ready = iter(requests), False, 0, 0
        error: BaseException | None = None
        try:
            while True:
                while not exhausted and error is None and waiting < most:
                    try:
                        key, request = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    known = self._known(request)
                    if known is not None:
                        yield key, known
                        ready += 1
                        if ready % _CACHED_AT_A_TIME == 0:
                            await asyncio.sleep(0)  # those under way need their turn
                        continue
                    task = asyncio.create_task(self._into(done, key, request))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    waiting += 1
                if not waiting:
                    break
                key, found = await done.get()
                waiting -= 1
                if isinstance(found, BaseException):
                    error = error or found
                else:
                    yield key, found
            if error is not None:
                raise error
        finally:
            left = [*tasks, *self._under_way.values()] if tasks else []
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def to_dict(self) -> dict[str, Any]:
        """Counts and dollars as plain data for JSON; cost is None where the price is unknown."""
        counts, spending = self.counts, self.spending
        known = spending.price is not None
        return {
            "asked": counts.asked,
            "answered": counts.answered,
            "cached": counts.cached,
            "shared": counts.shared,
            "failed": dict(sorted(counts.failed.items())),
            "calls": counts.calls,
            "retried": counts.retried,
            "input_tokens": counts.input_tokens,
            "output_tokens": counts.output_tokens,
            "cost": round(spending.paid, 6) if known else None,
            "cost_of_earlier_runs": round(spending.earlier, 6) if known else None,
            "cost_of_lost_answers_at_most": round(spending.lost, 6) if known else None,
        }

    def check_answered(self) -> None:
        """Raise ModelError, with what the server said, where not one of the requests was answered."""
        counts, example = self.counts, self._example
        if counts.answered or counts.cached or example is None:
            return
        reasons = ", ".join(f"{count} x {reason}" for reason, count in sorted(counts.failed.items()))
        said = f"{example.status} " if example.status else ""
        raise ModelError(
            f"{self.model.id} answered no request: {reasons}, such as {said}{example.detail!r}; "
            "if that is about the temperature: with --temperature -1 it keeps its own"
        )

    async def _into(
        self, done: asyncio.Queue[tuple[K, Reply | Failure | BaseException]], key: K, request: Request
    ) -> None:
        try:
            found: Reply | Failure | BaseException = await self._ask_unknown(request)
        except BaseException as error:  # an interrupt as well: the loop must not wait for it
            done.put_nowait((key, error))
            if not isinstance(error, Exception):
                raise
            return
        done.put_nowait((key, found))

    def _known(self, request: Request) -> Reply | None:
        """The answer in the cache. Counts the request as asked."""
        if request.model != self.model.id:
            raise ValueError(f"a request to {request.model} cannot be put to {self.model.id}")
        self.counts.asked += 1
        found = self.cache.find(request) if self.cache is not None else None
        if found is None:
            return None
        reply, earlier = found
        self.counts.cached += 1
        if earlier and (own := bytes.fromhex(request.hash[:16])) not in self._earlier:
            self._earlier.add(own)
            self.spending.pay(reply)
        return reply

    def _over(self, request: Request, task: asyncio.Task[Reply | Failure]) -> None:
        self._under_way.pop(request.hash, None)
        if not task.cancelled():
            task.exception()  # seen, or asyncio complains where nobody waits for it any more

    async def _pay(self, request: Request) -> Reply | Failure:
        """Try until there is an answer, or no try left."""
        if not self.limits.admits(_counted(request)):
            return self._failed(Failure(TOO_LARGE, f"about {_counted(request)} tokens, max_tokens included"))
        tries: Counter[str] = Counter()
        while True:
            self._check()
            try:
                reply = await self._in_any_form(request)
            except CallError as error:
                if error.kind == STATUS:
                    self._stop_if_hopeless(error)
                failure = failure_of(error)
                tries[failure.reason] += 1
                allowed = self.retries.limited_tries if failure.reason == LIMITED else self.retries.tries
                if failure.reason == REFUSED_REQUEST or tries[failure.reason] >= allowed:
                    return self._failed(failure)
                self.counts.retried += 1
                await self._pause(error, sum(tries.values()))
                continue
            except KognerError as error:  # a local model that died, a full disk: the same for all that follow
                self._stop(error)
            self._failed_in_a_row = 0
            return reply

    async def _in_any_form(self, request: Request) -> Reply:
        """One try; another way of asking for JSON follows at once where the server refuses one."""
        way = self._formats.of(request)
        async with self._slots:
            while True:
                try:
                    reply = await self._call(request, way)
                except CallError as error:
                    other = self._formats.after(request, way) if error.status in BAD_FORM else None
                    if other is None:
                        raise
                    way = other
                    continue
                self._formats.works(request, way)
                return reply

    async def _call(self, request: Request, way: str) -> Reply:
        """One HTTP request, within budget and limits; its answer is in the cache before anybody sees it."""
        await self._afford(request)
        try:
            permit = await self.limits.acquire(_counted(request), check=self._check)
            self.counts.calls += 1
            try:
                reply = await asyncio.wait_for(self._answer(request, way), self.timeout_s)
            except asyncio.TimeoutError:
                raise self._lost(request, CallError(TIMED_OUT, f"no answer in {self.timeout_s:g} s")) from None
            except CallError as error:
                if error.kind == STATUS:
                    self.limits.settle(permit, 0)
                raise self._lost(request, error) from None
            self.limits.settle(permit, reply.input_tokens + reply.output_tokens)
            return reply
        finally:
            self.spending.release(request)
            self._settled.set()

    async def _answer(self, request: Request, way: str) -> Reply:
        reply = await self.model.call(request, way=way, timeout_s=self.timeout_s)
        if self.cache is not None:
            self.cache.put(request, reply)
        self.spending.pay(reply)
        self.counts.answered += 1
        self.counts.input_tokens += reply.input_tokens
        self.counts.output_tokens += reply.output_tokens
        return reply

    def _lost(self, request: Request, error: CallError) -> CallError:
        """The error; where the provider may charge for the answer that we have not, count that."""
        if error.kind != STATUS and error.sent:
            self.spending.lose(request)
        return error

    async def _afford(self, request: Request) -> None:
        """Reserve what the request can cost, waiting for others to turn out cheaper; stop where it cannot be had."""
        while True:
            self._check()
            if not self.spending.fits(request, alone=True):
                self._stop(
                    BudgetError(
                        f"stopped at ${self.spending.total:.4f}: the next request could cost up to "
                        f"${self.spending.most(request):.4f} and pass max cost ${self.spending.max_cost:.4f}; "
                        "the answers so far are kept: run again with a higher one to go on"
                    )
                )
            if self.spending.fits(request):
                self.spending.reserve(request)
                return
            self._settled.clear()
            await self._settled.wait()

    async def _pause(self, error: CallError, number: int) -> None:
        """Back off. Where the server says how long, everybody waits for that."""
        longest = min(self.retries.longest_s, self.retries.first_s * 2 ** min(number, 30))
        seconds = self._random.uniform(0, longest)
        if error.retry_after is not None:
            if error.retry_after > self.retries.longest_wait_s:
                self._stop(
                    ModelError(
                        f"{self.model.id} asks to wait {error.retry_after:,.0f} s ({error.status}: {error.detail}); "
                        "run again then, the answers so far are kept"
                    )
                )
            self.limits.pause(error.retry_after)
            seconds = error.retry_after + self._random.uniform(0, self.retries.first_s)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, POLL_S))
            self._check()

    def _failed(self, failure: Failure) -> Failure:
        self.counts.failed[failure.reason] += 1
        self._example = self._example or failure
        if failure.reason != TOO_LARGE:
            self._failed_in_a_row += 1
        if self.stop_after is not None and self._failed_in_a_row >= self.stop_after:
            self._stop(
                ModelError(
                    f"{self._failed_in_a_row} requests to {self.model.id} failed in a row, the last one with "
                    f"{failure.status or failure.reason}: {failure.detail}; mend that, or allow more in a row "
                    "(--max-failures), and run again; the answers so far are kept"
                )
            )
        return failure

    def _stop_if_hopeless(self, error: CallError) -> None:
        why = hopeless(error)
        if why is not None:
            self._stop(
                ModelError(f"{self.model.id}: {why} ({error.status}: {error.detail}); the answers so far are kept")
            )

    def _stop(self, error: KognerError) -> NoReturn:
        """End this request with the error, and all others before their next call."""
        self._stopped = self._stopped or error
        self._settled.set()
        raise error from None

    def _check(self) -> None:
        if self._stopped is not None:
            raise type(self._stopped)(str(self._stopped))


def _counted(request: Request) -> int:
    """Tokens that a request counts with against the limit: providers take max_tokens for its answer."""
    return request.estimated_input + request.max_tokens
