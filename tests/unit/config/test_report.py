import pytest

from portway.config.locate import Path
from portway.config.report import Report, nearest, quoted, spell


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("listen", "ftp", "address"), "listen.ftp.address"),
        (("rules", 2, "who"), "rules[2].who"),
        (("listen", "a b", "x"), 'listen."a b".x'),
        (("",), '""'),
        (("a\nb",), '"a\\nb"'),
    ],
)
def test_a_path_is_spelled(path: Path, text: str) -> None:
    assert spell(path) == text


def test_problems_stand_in_the_order_of_the_file_with_the_nearest_line() -> None:
    lines: dict[Path, int] = {(): 1, ("b",): 9, ("a",): 4, ("a", "x"): 5}
    report = Report("p.toml", lines)
    report.wrong(("b", "y", 3), "third")
    report.wrong(("a", "x"), "second")
    report.wrong(("nowhere",), "first")
    assert list(map(str, report.problems())) == [
        "p.toml:1: nowhere: first",
        "p.toml:5: a.x: second",
        "p.toml:9: b.y[3]: third",
    ]
    assert report.where(("a", "z")) == "p.toml:4"


def test_one_problem_is_kept_of_a_key() -> None:
    report = Report("p.toml", {(): 1})
    report.wrong(("a",), "the first")
    report.wrong(("a",), "what follows from it")
    assert [problem.text for problem in report.problems()] == ["the first"]


def test_touches() -> None:
    report = Report("p.toml", {})
    report.wrong(("rules", 1, "who"), "wrong")
    assert report.touches(("rules",))
    assert report.touches(("rules", 1, "who"))
    assert not report.touches(("rules", 0))
    assert not report.touches(("rules", 1, "who", 0))


def test_what_is_quoted_stays_on_its_line_and_short() -> None:
    assert quoted("a\x1b[1m\u202e\n") == '"a\\x1b[1m\\u202e\\n"'
    assert len(quoted("x" * 1000)) < 70


def test_nearest() -> None:
    assert nearest("adress", ["address", "mode"]) == '; did you mean "address"?'
    assert nearest("zzz", ["address", "mode"]) == ""
