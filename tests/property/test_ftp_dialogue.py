from fuzz.fuzz_dialogue import check
from hypothesis import given
from hypothesis import strategies as st

from portway.protocols.ftp.transfer import (
    Closing,
    DataEnd,
    Direction,
    closings,
    ending,
    final_reply,
)

ENDS = st.sampled_from(DataEnd)
CODES = st.one_of(st.none(), st.integers(200, 599))


@given(st.binary(max_size=200))
def test_no_reply_is_lost_or_swapped(steps: bytes) -> None:
    check(steps)


@given(ENDS, CODES, st.text("abc", max_size=5))
def test_success_is_passed_on_only_if_the_data_ended_well(
    end: DataEnd, code: int | None, detail: str
) -> None:
    told = final_reply(end, code, detail)
    well = {DataEnd.WHOLE, DataEnd.ABORTED, DataEnd.CALLED_OFF, DataEnd.GIVEN_UP}
    if told is None:
        assert end in well or (code is not None and code >= 400)
    else:
        assert end not in well
        lasting = {
            DataEnd.QUOTA,
            DataEnd.NOT_RESUMED,
        }  # it would come again
        assert told[:1] == (b"5" if end in lasting else b"4")


@given(st.sampled_from(Direction), ENDS)
def test_a_cut_file_never_looks_whole(direction: Direction, end: DataEnd) -> None:
    client, server = closings(direction, end)
    receiving = {
        Direction.DOWN: {client},
        Direction.UP: {server},
        Direction.BOTH: {client, server},
    }[direction]
    if end is DataEnd.WHOLE:
        assert receiving == {Closing.FINISH}
    elif end is not DataEnd.CALLED_OFF:
        assert receiving == {Closing.RESET}


@given(ENDS, CODES, st.integers(0, 9))
def test_the_record_agrees_with_the_reply(
    end: DataEnd, code: int | None, moved: int
) -> None:
    outcome = ending(end, code, moved).outcome
    if outcome == "ok":
        assert code is None or code < 400
        assert final_reply(end, code) is None
    else:
        assert outcome == ("cut" if moved else "failed")
