"""Targets, hosts and paths: whatever comes, one reading or none."""

from fuzz import fuzz_http_urls
from hypothesis import given
from hypothesis import strategies as st

from portway.protocols.http.authority import rules_path

SIGNS = st.sampled_from(
    [
        *(b"a", b"Z", b".", b"..", b"/", b"%2e", b"%2F", b"%41", b"%C3%BC"),
        *(b"%", b":", b"@", b"[", b"]", b"::1", b"127", b"0x7f", b"?", b"80"),
        *(b"\xc3\xbc", b"\\", b"_"),
    ]
)
almost = st.lists(SIGNS, max_size=12).map(b"".join)


@given(almost)
def test_almost_a_url(data: bytes) -> None:
    fuzz_http_urls.target(data)


@given(st.binary(max_size=80))
def test_garbage(data: bytes) -> None:
    fuzz_http_urls.target(data)


@given(almost)
def test_a_view_is_its_own_view(data: bytes) -> None:
    """But where a sign ``%`` stands alone, which escapes nothing."""
    path = b"/" + data
    seen = rules_path(path)
    if b"%" not in path.replace(b"%2", b"").replace(b"%4", b"").replace(b"%C", b""):
        assert rules_path(seen.encode()) == seen
