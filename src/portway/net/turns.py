"""One at a time, first come first served.

What asyncio.Lock does, at a fraction of its weight: each session holds some. Not here:
anything else. Invariant: whoever is next is woken when the one before leaves, and one
that is cancelled while it waits does not keep others waiting.
"""

import asyncio


class Turns:
    """``async with turns:`` for what two tasks must not do at once."""

    __slots__ = ("_taken", "_waiting")

    def __init__(self) -> None:
        self._taken = False
        self._waiting: list[asyncio.Future[None]] | None = None

    async def __aenter__(self) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it was ours already
            raise

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.pop(0)
            if not turn.done():
                turn.set_result(None)  # and the turn stays taken
                return
        self._waiting = None
        self._taken = False
