"""The buffer of output, and the order in which it is sent."""

from compute_horde import output_buffer as output
from compute_horde.output_buffer import MAX_OFFSET, PIECE_BYTES, OutputBuffer, SendQueue
from compute_horde.protocol.extensions import OutputPrinted, ProgressMade
from compute_horde.vocabulary import Stage, Stream

A = "11111111-1111-1111-1111-111111111111"
B = "22222222-2222-2222-2222-222222222222"
C = "33333333-3333-3333-3333-333333333333"
ROOMY = 10**6


def piece(offset: int, text: str, job: str = A) -> OutputPrinted:
    return OutputPrinted(job_uuid=job, offset=offset, stream=Stream.STDOUT, text=text)


def kept(*pieces: OutputPrinted, job_bytes: int = ROOMY, all_bytes: int = ROOMY) -> OutputBuffer:
    store = OutputBuffer(job_bytes, all_bytes)
    for one in pieces:
        assert store.add(one)
    return store


def there(store: OutputBuffer, job: str = A) -> list[str]:
    found, number = [], 0
    while one := store.from_number(job, number):
        found.append(one[0].text)
        number = one[1]
    return found


def test_pieces_come_out_in_order():
    assert there(kept(piece(0, "a"), piece(1, "ö"), piece(3, "c"))) == ["a", "ö", "c"]


def test_a_repeat_an_empty_and_an_absurd_piece_are_not_kept():
    store = kept(piece(0, "ab"))
    assert not store.add(piece(0, "ab"))
    assert not store.add(piece(1, "bc"))
    assert not store.add(piece(2, ""))
    assert not store.add(piece(MAX_OFFSET, "x"))
    assert store.add(piece(5, "after a gap"))
    assert there(store) == ["ab", "after a gap"]


def test_of_a_job_that_prints_too_much_the_oldest_is_dropped():
    store = kept(*(piece(n, "x") for n in range(10)), job_bytes=3 * (PIECE_BYTES + 1))
    assert len(there(store)) == 3
    assert store.from_number(A, 0)[0].offset == 7
    assert store.cost == 3 * (PIECE_BYTES + 1)


def test_of_all_jobs_the_one_that_holds_most_gives_way():
    store = kept(piece(0, "b", B), all_bytes=4 * (PIECE_BYTES + 1))
    for n in range(10):
        store.add(piece(n, "x"))
    assert there(store, B) == ["b"]
    assert len(there(store)) == 3


def test_what_arrived_is_dropped_and_still_known_as_a_repeat():
    store = kept(piece(0, "a"), piece(1, "b"))
    store.drop_acknowledged(A, 1)
    assert there(store) == ["b"]
    store.drop_acknowledged(A, MAX_OFFSET)
    assert (there(store), store.cost) == ([], 0)
    assert not store.add(piece(0, "a"))


def test_a_forgotten_job_costs_nothing():
    store = kept(piece(0, "a"), piece(0, "b", B))
    store.forget(A)
    assert A not in store
    assert list(store) == [B]
    assert store.cost == PIECE_BYTES + 1


def said(turns: SendQueue[str], *, output: bool = True) -> list[str]:
    found = []
    while (one := turns.next(output=output)) is not None:
        found.append(one if isinstance(one, str) else getattr(one, "text", "progress"))
    return found


def test_a_listener_without_output_hears_words_only():
    turns: SendQueue[str] = SendQueue(kept(piece(0, "a")))
    turns.on_piece_added(A)
    turns.enqueue_progress(ProgressMade(job_uuid=A, stage=Stage.EXECUTION, what="x", done_bytes=1))
    turns.enqueue("word", A)
    assert said(turns) == ["word"]


def test_a_word_waits_for_what_its_job_printed_before_and_for_nothing_else():
    store = kept(piece(0, "a1"), piece(2, "a2"), piece(0, "b1", B))
    turns: SendQueue[str] = SendQueue(store, output=True)
    turns.on_piece_added(A)
    turns.on_piece_added(B)
    turns.enqueue("end of A", A)
    turns.enqueue("of another job", "c")
    assert len(turns) == 2
    received = said(turns)
    assert received[0] == "of another job"
    assert sorted(received[1:]) == ["a1", "a2", "b1", "end of A"]
    assert received.index("a1") < received.index("a2") < received.index("end of A")
    assert len(turns) == 0


def test_jobs_take_turns():
    pieces = [piece(n, f"{job[0]}{n}", job) for job in (A, B) for n in (0, 2, 4)]
    turns: SendQueue[str] = SendQueue(kept(*pieces), output=True)
    turns.on_piece_added(A)
    turns.on_piece_added(B)
    assert said(turns) == ["10", "20", "12", "22", "14", "24"]


def test_while_no_output_may_be_said_words_about_it_wait_and_others_do_not():
    turns: SendQueue[str] = SendQueue(kept(piece(0, "a")), output=True)
    turns.on_piece_added(A)
    turns.enqueue("end", A)
    turns.enqueue("other", B)
    assert said(turns, output=False) == ["other"]
    assert said(turns) == ["a", "end"]


def test_only_the_latest_progress_of_a_job_is_told():
    turns: SendQueue[str] = SendQueue(kept(), output=True)
    made = [ProgressMade(job_uuid=A, stage=Stage.EXECUTION, what="x", done_bytes=n) for n in (1, 2)]
    for one in made:
        turns.enqueue_progress(one)
    assert turns.next() == made[1]
    assert turns.next() is None


def test_words_are_not_lost_with_the_output_they_waited_for():
    store = kept(piece(0, "a"))
    turns: SendQueue[str] = SendQueue(store, output=True)
    turns.on_piece_added(A)
    turns.enqueue("end", A)
    assert turns.unsent() == ["end"]
    store.forget(A)
    turns.forget(A)
    assert said(turns) == ["end"]


def test_the_rest_of_a_job_counts_as_said():
    turns: SendQueue[str] = SendQueue(kept(piece(0, "a"), piece(1, "b")), output=True)
    turns.on_piece_added(A)
    assert [one.text for one in turns.rest_of(A)] == ["a", "b"]
    turns.enqueue("end", A)
    assert said(turns) == ["end"]


def test_when_there_are_too_many_jobs_the_longest_silent_is_forgotten(monkeypatch):
    monkeypatch.setattr(output, "MAX_JOBS", 2)
    store = kept(piece(0, "a"), piece(0, "b", B), piece(1, "a"), piece(0, "c", C))
    assert [there(store, job) for job in (A, B, C)] == [["a", "a"], [], ["c"]]


def test_a_piece_with_one_wide_character_counts_as_the_memory_it_takes() -> None:
    kept = OutputBuffer(10**9, 10**9)
    kept.add(piece(0, "x" * 1000))
    plain = kept.cost
    kept.add(piece(1000, "x" * 999 + "\U0001f600"))
    assert kept.cost - plain > 4000
    kept.drop_acknowledged(A, MAX_OFFSET)
    assert kept.cost == 0
