"""Whatever is written for a parent is one, or is refused without telling a secret."""

from hypothesis import given
from hypothesis import strategies as st

from portway.net.parent import PORTS, Parent, read_parent

SCHEMES = st.sampled_from([*PORTS, "", "https"])


def read(text: str, password: str | None = None) -> Parent | str:
    """Return the parent, or why it is none."""
    try:
        return read_parent(text, password)
    except ValueError as error:
        return str(error)


@given(st.text())
def test_any_text(text: str) -> None:
    found = read(text)
    assert isinstance(found, str) or found.scheme in PORTS


@given(SCHEMES, st.text(), st.none() | st.text())
def test_anything_behind_a_scheme(scheme: str, rest: str, password: str | None) -> None:
    found = read(f"{scheme}://{rest}", password)
    if isinstance(found, str):
        assert len(found.splitlines()) == 1
    else:
        assert 0 < found.at.port < 65536
        assert read_parent(str(found)).at == found.at


@given(
    SCHEMES,
    st.sampled_from(["u", ""]),
    st.sampled_from(["topsecret", "top@secret", "top/secret", "top secret"]),
)
def test_a_password_in_the_url_is_never_told(
    scheme: str, user: str, secret: str
) -> None:
    found = read(f"{scheme}://{user}:{secret}@10.0.0.1:1080")
    assert isinstance(found, str)
    assert "secret" not in found
