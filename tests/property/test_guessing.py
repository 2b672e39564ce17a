"""Whoever guesses, and however: who is kept back, and who never is."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from portway.users.guessing import BAN, BAN_AFTER, DELAYS, Guesses

ADDRESSES = [ip_address(f"192.0.2.{number}") for number in range(4)]
NAMES = ["alice", "bob", "carol"]
TRIES = st.lists(
    st.tuples(
        st.sampled_from(ADDRESSES),
        st.sampled_from(NAMES),
        st.booleans(),  # whether the password is right
        st.sampled_from(
            [0.0, 0.0, 0.5, 3.0, 40.0, 700.0]
        ),  # seconds since the one before
    ),
    max_size=120,
)


@given(TRIES, st.sampled_from(ADDRESSES))
def test_an_address_is_kept_back_by_its_own_failures_alone(tries, watched) -> None:  # type: ignore[no-untyped-def]
    """The same, had nobody else tried anything."""
    together, alone, now = Guesses(), Guesses(), 0.0
    for address, name, right, pause in tries:
        now += pause
        for guesses in (together, alone) if address == watched else (together,):
            if right:
                guesses.succeeded(name)
            else:
                guesses.failed(name, address, now)
        assert together.wait(watched, now) == alone.wait(watched, now)
        assert together.banned(watched, now) == alone.banned(watched, now)


@given(TRIES)
def test_who_has_never_failed_never_waits(tries) -> None:  # type: ignore[no-untyped-def]
    guesses, now = Guesses(), 0.0
    stranger = ip_address("203.0.113.1")
    for address, name, _, pause in tries:
        now += pause
        guesses.failed(name, address, now)
    assert guesses.wait(stranger, now) == guesses.banned(stranger, now) == 0


@given(TRIES)
def test_a_wait_is_bounded_and_an_answer_never_comes_before_the_next_try(tries) -> None:  # type: ignore[no-untyped-def]
    guesses, now = Guesses(), 0.0
    for address, name, right, pause in tries:
        now += pause
        if right:
            guesses.succeeded(name)
            continue
        wait = guesses.failed(name, address, now)
        assert 1.0 <= guesses.wait(address, now) <= wait <= DELAYS[-1]
        assert guesses.banned(address, now) <= BAN + DELAYS[-1]


@given(st.lists(st.floats(0, 120), min_size=1, max_size=200))
def test_no_pace_gives_more_than_so_many_guesses(pauses: list[float]) -> None:
    """In any ten minutes an address has at most as many failures as end in a rest."""
    guesses, now = Guesses(), 0.0
    failed: list[float] = []
    for pause in pauses:
        now += pause + guesses.wait(ADDRESSES[0], now + pause)
        if guesses.banned(ADDRESSES[0], now):
            continue
        guesses.failed("alice", ADDRESSES[0], now)
        failed.append(now)
    for begin in failed:
        assert sum(begin <= at < begin + 600 for at in failed) <= BAN_AFTER
