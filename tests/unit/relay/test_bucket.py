from hypothesis import given
from hypothesis import strategies as st

from portway.relay.bucket import Bucket

STEPS = st.lists(
    st.tuples(
        st.floats(0, 3),  # seconds that pass
        st.integers(1, 5000),  # wanted
        st.floats(0, 1),  # what part of it is given back
        st.floats(0, 300),  # the least
    ),
    max_size=60,
)


def test_it_is_full_at_first_and_fills_evenly() -> None:
    bucket = Bucket(100, 50, now=10)
    assert bucket.is_full(10)
    assert bucket.take(80, 1, now=10) == 50
    assert bucket.take(80, 1, now=10) == 0
    assert bucket.take(80, 1, now=10.25) == 25
    assert bucket.level(1000) == 50


def test_too_little_is_not_taken() -> None:
    bucket = Bucket(100, 50, now=0)
    bucket.take(50, 1, now=0)
    assert bucket.take(50, 20, now=0.1) == 0
    assert bucket.delay(20, now=0.1) == 0.1
    assert bucket.take(50, 20, now=0.2) == 20


def test_what_is_given_back_can_be_taken_again_and_does_not_run_over() -> None:
    bucket = Bucket(100, 50, now=0)
    bucket.take(30, 1, now=0)
    bucket.give_back(10)
    assert bucket.level(0) == 30
    bucket.give_back(1000)
    assert bucket.level(0) == 50


def test_a_clock_that_goes_back_fills_nothing() -> None:
    bucket = Bucket(100, 50, now=10)
    bucket.take(50, 1, now=10)
    assert bucket.level(5) == 0
    assert bucket.level(10.5) == 50


def test_another_rate_holds_from_then_on() -> None:
    bucket = Bucket(100, 50, now=0)
    bucket.take(50, 1, now=0)
    bucket.change(1000, 500, now=0.1)
    assert bucket.level(0.1) == 10
    assert bucket.level(0.2) == 110
    bucket.change(10, 5, now=0.2)
    assert bucket.level(0.2) == 5


@given(rate=st.floats(0.5, 1e6), burst=st.floats(1, 1e5), steps=STEPS)
def test_no_stretch_of_time_gives_more_than_its_rate_and_a_burst(
    rate: float, burst: float, steps: list[tuple[float, int, float, float]]
) -> None:
    now = 0.0
    bucket = Bucket(rate, burst, now)
    used = [(0.0, 0)]
    for seconds, want, part, least in steps:
        now += seconds
        taken = bucket.take(want, min(least, burst), now)
        back = int(taken * part)
        bucket.give_back(back)
        used.append((now, taken - back))
        assert 0 <= taken <= want
    for start in range(len(used)):
        total = 0
        for at, count in used[start:]:
            total += count
            assert total <= (at - used[start][0]) * rate + burst + 0.01


@given(rate=st.floats(0.5, 1e6), steps=STEPS)
def test_after_its_delay_there_is_enough(
    rate: float, steps: list[tuple[float, int, float, float]]
) -> None:
    now, burst = 0.0, 5000.0
    bucket = Bucket(rate, burst, now)
    for seconds, want, _, _ in steps:
        now += seconds
        bucket.take(want, 1, now)
        now += bucket.delay(want, now) * 1.0001 + 1e-6
        assert bucket.level(now) >= want - 0.5
