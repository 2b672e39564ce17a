"""What guessing costs, to the second."""

from ipaddress import ip_address

from portway.members import place_of
from portway.users.guessing import BAN, BAN_AFTER, MOST, WINDOW, Guesses

HERE, THERE = ip_address("192.0.2.7"), ip_address("198.51.100.9")


def guess(guesses: Guesses, name: str = "alice", now: float = 0.0) -> float:
    """Try as soon as one may; return when the next try may be."""
    now += guesses.wait(HERE, now)
    guesses.failed(name, HERE, now)
    return now


def test_answers_wait_longer_and_longer() -> None:
    guesses, now, waits = Guesses(), 0.0, []
    for _ in range(9):
        now += guesses.wait(HERE, now)
        waits.append(guesses.failed("alice", HERE, now))
        assert guesses.wait(HERE, now) == waits[-1]
    assert waits == [1, 1, 2, 4, 8, 16, 30, 30, 30]


def test_twenty_in_ten_minutes_and_an_address_rests_for_fifteen() -> None:
    guesses, now = Guesses(), 0.0
    for number in range(BAN_AFTER):
        assert not guesses.banned(HERE, now), number
        now = guess(guesses, f"user{number}", now)
    assert now < WINDOW
    left = guesses.banned(HERE, now)
    assert BAN <= left <= BAN + 30
    assert not guesses.banned(THERE, now)
    assert guesses.banned(HERE, now + left - 1)
    assert not guesses.banned(HERE, now + left)
    assert guesses.failed("x", HERE, now + left) == 1  # it begins anew


def test_a_day_of_guessing() -> None:
    """Who does not let up has about 1300 guesses: security.md, section 3."""
    guesses, now, tried = Guesses(), 0.0, 0
    while now < 86_400:
        now += guesses.banned(HERE, now)
        now = guess(guesses, "alice", now)
        tried += 1
    assert 1200 < tried < 1350


def test_failures_of_an_address_are_forgotten_after_ten_minutes() -> None:
    guesses, now = Guesses(), 0.0
    for _ in range(6):
        now = guess(guesses, now=now)
    assert guesses.failed("other", HERE, now + WINDOW) == 1


def test_success_clears_the_name_and_not_the_address() -> None:
    guesses, now = Guesses(), 0.0
    for _ in range(6):
        now = guess(guesses, now=now)
    assert guesses.failed("alice", THERE, now) == 30
    guesses.succeeded("alice")
    assert guesses.failed("alice", THERE, now) == 1
    assert guesses.failed("alice", HERE, now) == 30


def test_who_is_guessed_at_from_elsewhere_waits_for_nothing() -> None:
    guesses, now = Guesses(), 0.0
    for _ in range(BAN_AFTER):
        now = guess(guesses, now=now)
    assert guesses.banned(HERE, now)
    assert guesses.wait(THERE, now) == guesses.banned(THERE, now) == 0
    # a slip of the owner's is answered late, and does not keep the right word back
    assert guesses.failed("alice", THERE, now) == 30
    assert guesses.wait(THERE, now) == 1


def test_failures_of_a_name_are_forgotten_when_nobody_tries_any_more() -> None:
    guesses, now = Guesses(), 0.0
    for _ in range(6):
        now = guess(guesses, now=now)
    assert guesses.failed("alice", THERE, now + 901) == 1


def test_a_network_of_ipv6_is_one_address() -> None:
    one, other, far = map(
        ip_address, ("2001:db8::1", "2001:db8::f:2", "2001:db8:0:1::1")
    )
    guesses = Guesses()
    guesses.failed("alice", one, 0)
    assert guesses.wait(other, 0) == 1
    assert guesses.wait(far, 0) == 0
    assert place_of(HERE) == HERE


def test_one_name_in_two_spellings_is_one_and_a_long_one_is_cut() -> None:
    guesses = Guesses()
    guesses.failed("Zoe\u0308", HERE, 0)
    guesses.failed("Zo\xeb", THERE, 0)
    assert guesses.failed("Zo\xeb", ip_address("192.0.2.1"), 0) == 2
    guesses.failed("x" * 9_000_000, HERE, 0)
    assert max(map(len, guesses._names)) == 64


def test_the_tables_do_not_grow_for_ever() -> None:
    guesses = Guesses()
    first = ip_address("10.0.0.0")
    for number in range(MOST + 100):
        guesses.failed(f"user{number}", first + number, float(number) / 1000)
    assert len(guesses) == MOST
    assert guesses.wait(first, 1.0) == 0  # the oldest went first
    assert guesses.wait(first + MOST, MOST / 1000) == 1
