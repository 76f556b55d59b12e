"""Shared rate limits: never beyond them in any window, whoever asks at once; and no agent starves another."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import psycopg
import pytest

from o.store.repositories.limits import Granted, Wait
from o.store.session import Store

HOUR = 3600.0

Owner = psycopg.Connection[tuple[int, ...]]


async def ask(
    store: Store,
    agent: str,
    request: str,
    *,
    tokens: int = 0,
    rpm: int | None = None,
    tpm: int | None = None,
    bucket: str = "vendor/key",
    spread: float = 0.0,
    returns: bool = True,
    window: float = HOUR,
) -> Granted | Wait:
    async with store.transaction() as tx:
        return await tx.limits.take(
            bucket,
            agent_id=agent,
            request_id=request,
            tokens=tokens,
            requests_per_minute=rpm,
            tokens_per_minute=tpm,
            spread=spread,
            returns=returns,
            window=window,
        )


def granted(answer: Granted | Wait) -> Granted:
    assert isinstance(answer, Granted)
    return answer


def waits(answer: Granted | Wait) -> float:
    assert isinstance(answer, Wait)
    return answer.seconds


async def settle(store: Store, grant: Granted, tokens: int) -> None:
    async with store.transaction() as tx:
        await tx.limits.settle(grant.grant_id, tokens)


@pytest.fixture
def owner(database_url: str) -> Iterator[Owner]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[Store]:
    """A store with many connections, all of them open."""
    together = asyncio.Barrier(24)

    async def connect(opened: Store) -> None:
        async with opened.transaction():
            await together.wait()

    async with Store(database_url, size=24) as opened:
        await asyncio.gather(*(connect(opened) for _ in range(24)))
        yield opened


async def test_requests_are_let_through_up_to_the_limit(store: Store) -> None:
    for number in range(3):
        granted(await ask(store, "a", f"r{number}", rpm=3))
    assert waits(await ask(store, "a", "r3", rpm=3)) == pytest.approx(HOUR, rel=0.05)
    granted(await ask(store, "a", "r4", rpm=3, bucket="vendor/other"))
    granted(await ask(store, "a", "r5"))


async def test_the_window_slides(store: Store, owner: Owner) -> None:
    first = granted(await ask(store, "a", "r0", rpm=2))
    owner.execute("UPDATE model_grants SET granted_at = granted_at - interval '50 minutes'")
    granted(await ask(store, "a", "r1", rpm=2))
    assert waits(await ask(store, "a", "r2", rpm=2)) == pytest.approx(600, rel=0.05)  # then the first leaves
    assert waits(await ask(store, "a", "r3", rpm=2)) == pytest.approx(HOUR, rel=0.05)  # r2 stands before it
    owner.execute("UPDATE model_grants SET granted_at = granted_at - interval '11 minutes'")
    granted(await ask(store, "a", "r2", rpm=2))
    assert owner.execute("SELECT count(*) FROM model_grants").fetchone() == (2,), "what left the window is removed"
    await settle(store, first, 5)  # removed: nothing to correct


async def test_the_spread_adds_to_the_wait(store: Store) -> None:
    granted(await ask(store, "a", "r0", rpm=1))
    without = waits(await ask(store, "a", "r1", rpm=1))
    assert waits(await ask(store, "a", "r1", rpm=1, spread=0.5)) - without == pytest.approx(HOUR / 120, abs=10)


async def test_an_estimate_is_settled(store: Store) -> None:
    grant = granted(await ask(store, "a", "r0", tokens=900, tpm=1000))
    # It may be settled before its window ends: nobody waits for that long before asking again.
    assert waits(await ask(store, "b", "r1", tokens=200, tpm=1000)) == pytest.approx(HOUR / 6)
    await settle(store, grant, 800)
    granted(await ask(store, "b", "r1", tokens=200, tpm=1000))
    await settle(store, grant, 0)
    granted(await ask(store, "b", "r2", tokens=800, tpm=1000))
    await settle(store, grant, 5000)
    waits(await ask(store, "b", "r3", tokens=0, tpm=1000))


async def test_more_than_a_window_holds_runs_alone(store: Store) -> None:
    small = granted(await ask(store, "a", "small", tokens=10, tpm=1000))
    waits(await ask(store, "b", "giant", tokens=5000, tpm=1000))
    waits(await ask(store, "c", "late", tokens=1, tpm=1000))
    await settle(store, small, 0)
    waits(await ask(store, "c", "late", tokens=1, tpm=1000))
    giant = granted(await ask(store, "b", "giant", tokens=5000, tpm=1000))
    waits(await ask(store, "c", "late", tokens=1, tpm=1000))
    await settle(store, giant, 999)
    granted(await ask(store, "c", "late", tokens=1, tpm=1000))


async def test_who_had_nothing_goes_before_who_has_waited_longer(store: Store) -> None:
    first = granted(await ask(store, "busy", "b0", tokens=600, tpm=1000))
    granted(await ask(store, "busy", "b1", tokens=400, tpm=1000))
    waits(await ask(store, "busy", "b2", tokens=500, tpm=1000))
    waits(await ask(store, "idle", "i0", tokens=500, tpm=1000))
    await settle(store, first, 100)
    # There is room for one of them; it is kept for the other, who is due before the next grant leaves.
    assert waits(await ask(store, "busy", "b2", tokens=500, tpm=1000)) < HOUR / 3
    granted(await ask(store, "idle", "i0", tokens=500, tpm=1000))


async def test_a_place_is_lost_by_who_does_not_come_back(store: Store, owner: Owner) -> None:
    grant = granted(await ask(store, "busy", "b0", tokens=1000, tpm=1000))
    waits(await ask(store, "idle", "i0", tokens=500, tpm=1000))
    await settle(store, grant, 500)
    waits(await ask(store, "busy", "b1", tokens=500, tpm=1000))
    owner.execute("UPDATE model_waits SET back_by = now() - interval '1 second' WHERE request_id = 'i0'")
    granted(await ask(store, "busy", "b1", tokens=500, tpm=1000))
    assert owner.execute("SELECT count(*) FROM model_waits").fetchone() == (0,)


async def opened_bit_by_bit(store: Store, demand: dict[str, int], rooms: range, **costs: int) -> Counter[str]:
    """How much each agent got, when all of them waited and the limit rose step by step while they asked at random."""
    got: Counter[str] = Counter()
    line = [(agent, f"{agent}{number}") for agent, wanted in demand.items() for number in range(wanted)]
    chance = random.Random(7)
    for room in rooms:
        chance.shuffle(line)
        for each in list(line):
            agent, request = each
            limit = {"tpm": room, "tokens": costs[agent]} if costs else {"rpm": room}
            if isinstance(await ask(store, agent, request, **limit), Granted):  # type: ignore[arg-type]
                got[agent] += 1
                line.remove(each)
    return got


async def test_requests_are_shared_so_that_the_least_is_as_much_as_can_be(store: Store) -> None:
    granted(await ask(store, "other", "o", rpm=1))
    got = await opened_bit_by_bit(store, {"a": 50, "b": 3, "c": 1}, range(1, 12))
    assert got == {"a": 6, "b": 3, "c": 1}  # max-min fair for 10: what b and c do not want is a's


async def test_tokens_are_shared_by_their_number_not_by_requests(store: Store) -> None:
    granted(await ask(store, "other", "o", tokens=200, tpm=200))
    got = await opened_bit_by_bit(store, {"big": 10, "small": 40}, range(200, 1401, 50), big=200, small=50)
    assert got == {"big": 3, "small": 12}  # 600 tokens each


async def test_no_window_holds_more_than_the_limits_whoever_asks_at_once(crowd: Store, owner: Owner) -> None:
    window, rpm, tpm = 0.4, 20, 1000
    note_grants(owner)

    async def request(agent: str, number: int, tokens: int) -> None:
        while True:
            answer = await ask(
                crowd, agent, f"{agent}{number}", tokens=tokens, rpm=rpm, tpm=tpm, spread=number / 20, window=window
            )
            if isinstance(answer, Granted):
                return
            await asyncio.sleep(answer.seconds)

    chance = random.Random(11)
    await asyncio.gather(*(request(f"agent{n % 6}", n // 6, chance.randint(1, 120)) for n in range(90)))
    seen: list[tuple[datetime, int]] = owner.execute(
        "SELECT granted_at, tokens FROM noted ORDER BY granted_at"
    ).fetchall()  # type: ignore[assignment]
    assert len(seen) == 90
    for at, _ in seen:
        inside = [tokens for other, tokens in seen if at - timedelta(seconds=window) < other <= at]
        assert len(inside) <= rpm
        assert sum(inside) <= tpm
    assert max(sum(at - timedelta(seconds=window) < other <= at for other, _ in seen) for at, _ in seen) > rpm / 2


async def test_fifty_waiting_requests_of_one_agent_do_not_hold_up_another(crowd: Store, owner: Owner) -> None:
    window, rpm = 2.0, 10
    note_grants(owner)
    waiting = asyncio.Semaphore(0)

    async def request(agent: str, number: int, spread: float) -> None:
        while isinstance(
            answer := await ask(crowd, agent, f"{agent}{number}", rpm=rpm, spread=spread, window=window), Wait
        ):
            waiting.release()
            await asyncio.sleep(answer.seconds)

    busy = [asyncio.create_task(request("busy", number, number / 100)) for number in range(60)]
    for _ in range(50):
        await waiting.acquire()
    before = owner.execute("SELECT count(*) FROM noted").fetchone()
    await request("idle", 0, 0.9)  # later than all of them
    for task in busy:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*busy)
    place = owner.execute("SELECT count(*) FROM noted WHERE seq <= (SELECT seq FROM noted WHERE agent_id = 'idle')")
    after = place.fetchone()
    assert before is not None and after is not None
    assert before[0] >= rpm
    assert after[0] - before[0] <= rpm, "it was served in the first window that opened after it asked"


def note_grants(owner: Owner) -> None:
    """Keep every grant as it was given: what left its window is removed."""
    owner.execute(
        """
        CREATE TABLE noted (seq bigserial, agent_id text, tokens bigint, granted_at timestamptz);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          INSERT INTO noted (agent_id, tokens, granted_at) VALUES (new.agent_id, new.tokens, new.granted_at);
          RETURN NULL;
        END $$;
        CREATE TRIGGER note AFTER INSERT ON model_grants FOR EACH ROW EXECUTE FUNCTION note();
        """
    )


async def test_the_tables_are_reached_by_the_functions_only(owner: Owner) -> None:
    owner.execute("SET ROLE o_app")
    for table in ("model_grants", "model_waits"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(f"SELECT * FROM {table}".encode())


async def test_those_who_are_served_elsewhere_do_not_fill_the_line(store: Store, owner: Owner) -> None:
    granted(await ask(store, "agent-a", "first", rpm=1))
    for number in range(3):
        waits(await ask(store, "agent-a", f"elsewhere-{number}", rpm=1, returns=False))
    owner.execute("UPDATE model_grants SET granted_at = granted_at - interval '1 hour'")
    granted(await ask(store, "agent-a", "next", rpm=1, returns=False))
