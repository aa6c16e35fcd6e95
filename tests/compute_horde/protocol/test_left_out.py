"""The files left out of a result are listed up to a limit."""

from compute_horde.protocol.left_out import LeftOut, listed


def test_a_long_list_ends_with_how_many_more_there_are():
    every = [LeftOut(name=f"/{n}", size=n, why="w") for n in range(150)]
    assert listed(every[:100]) == tuple(every[:100])
    short = listed(every)
    assert short[:100] == tuple(every[:100])
    assert (short[100].name, short[100].size) == ("", sum(range(100, 150)))
    assert short[100].why.startswith("50 more")
    assert len(listed((*short, *every))) == 101
