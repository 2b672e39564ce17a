import pytest

from portway.units import (
    Rate,
    Seconds,
    Size,
    format_rate,
    format_seconds,
    format_size,
    parse_rate,
    parse_seconds,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("7d", 7 * 86400.0),
        ("90d", 90 * 86400.0),
        ("250ms", 0.25),
        ("1.5 h", 5400.0),
        (" 0s ", 0.0),
        ("36500d", 36500 * 86400.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64 KiB", 65536),
        ("64KiB", 65536),
        ("2 GB", 2 * 10**9),
        ("1.5 KiB", 1536),
        ("7 B", 7),
        ("1 PiB", 1 << 50),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5 Mbit/s", 625_000.0),
        ("1 MB/s", 1_000_000.0),
        ("1 bit/s", 0.125),
        ("64 KiB/s", 65536.0),
        ("1 PiB/s", float(1 << 50)),
    ],
)
def test_rates(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("", 'a number and a unit are expected, as in "30s"'),
        ("-5s", "a number and a unit are expected"),
        ("soon", "a number and a unit are expected"),
        ("1e9 s", "a number and a unit are expected"),
        ("\u0663s", "a number and a unit are expected"),
        ("30", "needs a unit: one of ms, s, m, h, d"),
        ("30 sec", 'write "s"'),
        ("2 weeks", 'write "d"'),
        ("5M", 'write "m"'),
        ("3 fortnights", "use one of ms, s, m, h, d"),
        ("0.1ms", "no whole number of milliseconds"),
        ("36501d", "36500d is the most"),
    ],
)
def test_a_wrong_duration_names_its_cure(text: str, cure: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_seconds(text)
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("64 KB", 'write "kB" (1000 bytes) or "KiB" (1024 bytes)'),
        ("2 gb", 'write "GB"'),
        ("2 gib", 'write "GiB"'),
        ("64", "needs a unit: one of B, kB, KiB"),
        ("0.5 B", "no whole number of bytes"),
        ("2 PiB", "1 PiB is the most"),
        ("5 Mbit/s", "use one of B, kB"),
    ],
)
def test_a_wrong_size_names_its_cure(text: str, cure: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_size(text)
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("5 Mb/s", 'write "MB/s" for bytes or "Mbit/s" for bits'),
        ("5 mbps", 'write "Mbit/s" for bits or "MB/s" for bytes'),
        ("5 mbit/s", 'write "Mbit/s"'),
        ("5 MB", "use one of B/s"),
        ("0.5 bit/s", "no whole number of bits"),
        ("2 PiB/s", "1 PiB/s is the most"),
    ],
)
def test_a_wrong_rate_names_its_cure(text: str, cure: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_rate(text)
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (30, "30s"),
        (90, "90s"),
        (7200, "2h"),
        (1e7, "10000000s"),
    ],
)
def test_a_duration_is_written_in_its_largest_unit(seconds: float, text: str) -> None:
    assert format_seconds(Seconds(seconds)) == text


def test_sizes_and_rates_are_written_in_their_largest_unit() -> None:
    assert format_size(Size(65536)) == "64 KiB"
    assert format_size(Size(2 * 10**9)) == "2 GB"
    assert format_size(Size(0)) == "0 B"
    assert format_rate(Rate(625_000.0)) == "625 kB/s"
    assert format_rate(Rate(0.125)) == "1 bit/s"
    assert format_rate(Rate(0.0)) == "0 B/s"
