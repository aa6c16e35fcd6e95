"""Persistent sets outlive the process."""

from compute_horde_sdk.persistent_set import PersistentSet


def test_a_word_is_remembered_in_another_process_and_only_by_its_own_file():
    PersistentSet("words").add("one")
    again = PersistentSet("words")
    assert "one" in again
    assert "one" not in PersistentSet("others")
    again.path().unlink()
    assert "one" not in again
