"""How the tests ask a source."""

import pytest

from portway.errors import Refused
from portway.model import Credentials, Reason
from portway.users.directory import Source, Verification, Verified

OK, WRONG, UNKNOWN = Verification.OK, Verification.WRONG, Verification.UNKNOWN


async def login(source: Source, user: str, password: str = "s3cret") -> Verified:
    return await source.verify(Credentials(user, password))


async def said(source: Source, user: str, password: str = "s3cret") -> Verification:
    found = await login(source, user, password)
    if found.verification is OK:
        assert found.source == source.name
    else:
        assert not found.user
        assert not found.groups
    return found.verification


async def why_not(source: Source, user: str = "joe", password: str = "s3cret") -> str:
    """Return why *source* cannot be asked; the password is not among it."""
    with pytest.raises(Refused) as caught:
        await login(source, user, password)
    assert caught.value.reason is Reason.LOGIN_UNAVAILABLE
    assert "\n" not in caught.value.because
    assert password not in caught.value.because
    return caught.value.because
