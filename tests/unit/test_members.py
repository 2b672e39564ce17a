"""Whose a limit is, as it is counted and as it is said."""

from ipaddress import ip_address

import pytest

from portway.members import member_of
from portway.model import Access, Action, Per


@pytest.mark.parametrize(
    ("per", "user", "client", "text"),
    [
        (Per.USER, "alice", "10.0.0.7", "user:alice"),
        (Per.USER, "", "10.0.0.7", "10.0.0.7"),
        (Per.USER, "", "2001:db8::7", "2001:db8::/64"),
        (Per.CLIENT, "alice", "10.0.0.7", "10.0.0.7"),
        (Per.CLIENT, "alice", "2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        (Per.GROUP, "alice", "10.0.0.7", "group:lab"),
        (Per.RULE, "alice", "10.0.0.7", "*"),
    ],
)
def test_whose_a_limit_is(per: Per, user: str, client: str, text: str) -> None:
    access = Access("ftp", ip_address(client), user, Action.READ, "RETR", "h", 21)
    assert str(member_of(per, access, "lab")) == text
