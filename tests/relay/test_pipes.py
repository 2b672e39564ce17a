import fcntl
import os
import resource
from pathlib import Path

import pytest
from tests.fds import nothing_left_open, open_files

from portway.relay import pipes as module
from portway.relay.pipes import LARGE, MIB, SMALL, Pipe, Pipes


def borrowed(pipes: Pipes, *, large: bool = False) -> Pipe:
    pipe = pipes.borrow(large=large)
    assert pipe is not None
    return pipe


def test_what_is_given_back_is_lent_again(pipes: Pipes) -> None:
    first = borrowed(pipes)
    pipes.give_back(first)
    assert borrowed(pipes) is first
    second = borrowed(pipes)
    assert second is not first
    for pipe in (first, second):
        pipes.give_back(pipe)


def test_a_pipe_grows_once_and_is_kept_apart(pipes: Pipes) -> None:
    small, large = borrowed(pipes), borrowed(pipes, large=True)
    assert large.size == LARGE
    assert fcntl.fcntl(large.writer, fcntl.F_GETPIPE_SZ) == LARGE
    assert fcntl.fcntl(small.writer, fcntl.F_GETPIPE_SZ) == SMALL
    assert pipes.total == SMALL + LARGE
    pipes.give_back(small)
    pipes.give_back(large)
    assert borrowed(pipes) is small
    assert borrowed(pipes, large=True) is large
    pipes.give_back(small)
    pipes.give_back(large)


def test_neither_end_blocks_or_is_inherited(pipes: Pipes) -> None:
    pipe = borrowed(pipes)
    for end in (pipe.reader, pipe.writer):
        assert not os.get_blocking(end)
        assert not os.get_inheritable(end)
    pipes.give_back(pipe)


def test_no_more_pipes_grow_than_the_bound_allows() -> None:
    with nothing_left_open():
        pipes = Pipes(growth=3 * MIB, most=3 * MIB + 4 * SMALL)
        lent = [borrowed(pipes, large=True) for _ in range(6)]
        assert [pipe.size for pipe in lent] == [LARGE] * 3 + [SMALL] * 3
        lent.append(borrowed(pipes))
        assert lent[-1].size == SMALL
        assert pipes.borrow(large=True) is None
        assert pipes.borrow() is None
        assert pipes.total == 3 * MIB + 4 * SMALL
        pipes.give_back(lent.pop(0))
        lent.append(borrowed(pipes))
        assert lent[-1].size == LARGE  # better than none
        for pipe in lent:
            pipes.discard(pipe)
        assert pipes.total == 0


def test_no_growth_is_tried_again_once_the_system_said_no(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def refuse(*_: int) -> int:
        nonlocal asked
        asked += 1
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    lent = [borrowed(pipes, large=True) for _ in range(3)]
    assert [pipe.size for pipe in lent] == [SMALL] * 3
    assert asked == 1
    for pipe in lent:
        pipes.give_back(pipe)


def test_few_idle_pipes_are_kept(pipes: Pipes) -> None:
    before = open_files()["pipe"]
    lent = [borrowed(pipes) for _ in range(module.IDLE_SMALL + 10)]
    lent += [borrowed(pipes, large=True) for _ in range(module.IDLE_LARGE + 3)]
    for pipe in lent:
        pipes.give_back(pipe)
    kept = module.IDLE_SMALL + module.IDLE_LARGE
    assert open_files()["pipe"] - before == 2 * kept


def test_a_discarded_pipe_frees_its_share(pipes: Pipes) -> None:
    pipe = borrowed(pipes, large=True)
    os.write(pipe.writer, b"left inside")
    pipes.discard(pipe)
    assert pipes.total == 0


def test_without_descriptors_there_is_no_pipe(pipes: Pipes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert pipes.borrow() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert pipes.total == 0


def test_what_comes_back_after_the_end_is_closed_too() -> None:
    with nothing_left_open():
        pipes = Pipes()
        small, large = borrowed(pipes), borrowed(pipes, large=True)
        pipes.close()
        assert pipes.borrow() is None
        pipes.give_back(small)
        pipes.give_back(large)
        assert pipes.total == 0


def test_buffers_are_bounded_and_lent_again(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LENT_BUFFERS", 2)
    first, second = pipes.borrow_buffer(), pipes.borrow_buffer()
    assert first is not None
    assert second is not None
    assert len(first) == module.BUFFER
    assert pipes.borrow_buffer() is None
    pipes.give_back_buffer(first)
    assert pipes.borrow_buffer() is first
    pipes.give_back_buffer(first)
    pipes.give_back_buffer(second)


def test_a_system_that_tells_no_bound_gets_small_pipes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_LARGEST", tmp_path / "none")
    with nothing_left_open():
        pipes = Pipes()
        pipe = borrowed(pipes, large=True)
        assert pipe.size == SMALL
        pipes.give_back(pipe)
        pipes.close()
