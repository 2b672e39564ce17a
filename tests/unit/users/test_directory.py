import pytest

from portway.users.directory import fault, normal


@pytest.mark.parametrize(
    "name",
    [
        "alice",
        "DOMAIN\\bob",
        "bob.o'hara+ftp=1",
        "Zoë",
        "用户",
        "x" * 64,
        "-",
    ],
)
def test_names_that_may_be(name: str) -> None:
    assert fault(name) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        ("x" * 65, "64 bytes"),
        ("é" * 33, "64 bytes"),
        *((f"a{sign}b", "any of") for sign in ":@/#%"),
        *(
            (f"a{sign}b", "blank")
            for sign in " \t\n\0\x7f\x9b\xa0\u2028\u202e\u200b\udc80\ufeff"
        ),
    ],
)
def test_names_that_may_not(name: str, words: str) -> None:
    assert words in fault(name)


def test_one_name_in_two_spellings_is_one() -> None:
    assert normal("Zoe\u0308") == normal("Zo\xeb") == "Zo\xeb"
    assert fault("e\u0301" * 32) == ""  # 64 bytes in its normal form
