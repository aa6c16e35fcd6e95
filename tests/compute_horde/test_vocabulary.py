"""Our enumerations have the published values."""

import pytest

from compute_horde import vocabulary as ours
from compute_horde.hardware import ExecutorClass
from compute_horde.uploads import FilePost, FilePut, MultiUpload, ZipPost, ZipPut
from compute_horde.volumes import (
    HuggingfaceVolume,
    InlineVolume,
    MultiVolume,
    SingleFileVolume,
    ZipUrlVolume,
)
from tests.compute_horde.vectors import VECTORS

WORDS = {
    "JobParticipantType": ours.Party,
    "JobStatus": ours.JobState,
    "JobStage": ours.Stage,
    "HordeFailureReason": ours.HordeReason,
    "JobFailureReason": ours.FailureReason,
    "JobRejectionReason": ours.RejectionReason,
    "ExecutorClass": ExecutorClass,
    "ReceiptType": ours.ReceiptType,
    "SignatureScope": ours.SignatureScope,
}
# Values that only our own services use.
EXTENDED = {
    "JobStatus": ["cancelled"],
    "JobFailureReason": ["cancelled"],
    "ReceiptType": ["JobIntervalReceipt"],
}
VOLUMES = [InlineVolume, ZipUrlVolume, SingleFileVolume, MultiVolume, HuggingfaceVolume]
UPLOADS = [ZipPost, ZipPut, MultiUpload, FilePost, FilePut]
LENIENT = [word for word in WORDS.values() if issubclass(word, ours.TolerantEnum)]


def test_every_published_list_of_words_is_compared():
    others = {"VolumeType", "OutputUploadType", "ComputeHordeJobStatus"}
    assert WORDS.keys() | others == VECTORS["enums"].keys()


@pytest.mark.parametrize("name", WORDS)
def test_words_are_the_published_ones_in_their_order_and_then_ours(name):
    published = VECTORS["enums"][name]
    assert [word.value for word in WORDS[name]] == published + EXTENDED.get(name, [])


def test_the_published_sdk_knows_every_state_but_the_unknown_one_and_ours():
    published = set(VECTORS["enums"]["ComputeHordeJobStatus"])
    assert published == set(ours.JobState) - {"unknown", "cancelled"}


def test_the_kinds_of_volumes_and_uploads_are_the_published_ones():
    volumes = [volume.model_fields["volume_type"].default for volume in VOLUMES]
    uploads = [upload.model_fields["output_upload_type"].default for upload in UPLOADS]
    assert volumes == VECTORS["enums"]["VolumeType"]
    assert uploads == VECTORS["enums"]["OutputUploadType"]


@pytest.mark.parametrize("words", LENIENT, ids=lambda words: words.__name__)
def test_an_unknown_word_reads_as_unknown_and_what_is_no_word_is_refused(words):
    assert words("said by a newer peer") is words.UNKNOWN
    assert words("UNKNOWN") is words.UNKNOWN
    for other in (None, 5, []):
        with pytest.raises(ValueError, match="is not a valid"):
            words(other)


def test_an_unknown_executor_class_is_no_class():
    with pytest.raises(ValueError, match="is not a valid"):
        ExecutorClass("always_on.toaster")
