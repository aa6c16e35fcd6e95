"""The known weaknesses of the published protocol and implementation, and what became of each here.

`closed_by` names tests as `path::function`; the tests of the docs see to it that they exist.
"""

from dataclasses import dataclass

NOT_IMPLEMENTED = "not implemented"


@dataclass(frozen=True, slots=True)
class Weakness:
    """One weakness: what it is, the tests that show it closed, and what stays open and why."""

    number: int
    what: str
    closed_by: tuple[str, ...] = ()
    remains: str = ""
    mitigation: str = ""

    @property
    def state(self) -> str:
        """`closed`, `closed between our own` (published peers cannot), or what it is else."""
        if not self.remains:
            return "closed"
        if self.mitigation == NOT_IMPLEMENTED:
            return "does not arise"
        return "closed between our own" if self.closed_by else "open by protocol"


WEAKNESSES = (
    Weakness(
        1,
        "A validator's login at the facilitator is a constant that can be replayed",
        (
            "facilitator/test_validator_login.py::test_who_has_answered_a_challenge_is_never_taken_by_the_published_login",
            "facilitator/test_validator_login.py::test_a_challenge_that_was_answered_logs_in_on_no_other_connection",
            "facilitator/test_validator_login.py::test_a_login_for_another_facilitator_time_or_connection_is_refused",
            "facilitator/test_validator_login.py::test_a_facilitator_that_cannot_know_its_names_does_not_start",
            "facilitator/test_validator_login.py::test_of_two_published_validators_with_one_hotkey_the_second_is_refused_with_an_alarm",
        ),
        "published validators know no other login",
        "one live connection per published hotkey; an alarm in admin when two compete; a hotkey that "
        "ever answered a challenge must do so always",
    ),
    Weakness(
        2,
        "A signed job request has no audience, nonce or end",
        (
            "facilitator/jobs/test_submission.py::test_a_replayed_request_is_refused_and_names_the_job_it_made",
            "facilitator/jobs/test_submission.py::test_a_request_cannot_be_replayed_to_another_validator_or_with_another_tag",
            "validator/jobs/test_intake.py::test_a_signature_replayed_under_another_uuid_is_rejected",
            "validator/jobs/test_rules.py::test_an_old_or_future_signature_is_refused",
            "compute_horde/protocol/test_signature_coverage.py::test_a_changed_field_of_a_signed_request_is_a_bad_signature",
            "facilitator/jobs/test_bindings.py::test_who_has_bound_a_request_must_bind_them_all_until_the_operator_says_otherwise",
            "validator/jobs/test_bindings.py::test_a_request_bound_to_another_validator_is_refused",
            "validator/jobs/test_bindings.py::test_a_nonce_is_used_once_whatever_is_signed_with_it",
            "validator/jobs/test_bindings.py::test_a_request_is_taken_once_whether_its_binding_is_left_out_first_or_its_uuid_changed",
        ),
        "the published SDK signs neither target nor nonce, so a facilitator may send one request to "
        "several validators that serve its signer, once to each and for a few minutes",
        "our SDK signs both, and a signer that ever did so must do so always",
    ),
    Weakness(
        3,
        "The signer of a job is not tied to who is logged in",
        ("facilitator/jobs/test_submission.py::test_somebody_elses_signature_does_not_count",),
    ),
    Weakness(
        4,
        "Any validator may report on any job",
        ("facilitator/test_validator_consumer.py::test_a_foreign_validator_may_not_report",),
    ),
    Weakness(
        5,
        "A validator's introduction to a miner can be replayed for ten seconds, or dated ahead",
        (
            "miner/jobs/test_validator_consumer.py::test_a_recorded_login_opens_no_second_connection",
            "miner/jobs/test_validator_consumer.py::test_a_login_from_before_the_miner_started_is_refused",
            "miner/jobs/test_intake.py::test_a_validator_that_has_signed_must_sign_every_request_also_after_a_restart",
        ),
    ),
    Weakness(
        6,
        "Miners and executors are not authenticated; a streaming address can be swapped",
        (
            "compute_horde_sdk/test_streaming_client.py::test_another_server_than_the_signed_one_is_refused",
            "validator/jobs/test_rules.py::test_a_miner_that_does_not_stand_by_its_word_fails_the_job",
            "miner/jobs/test_executor_consumer.py::test_a_token_is_valid_for_one_connection",
        ),
        "connections to miners are plain websockets: whoever is on the path reads them",
        "results of streaming jobs are end to end over TLS with a certificate that the miner and the "
        "validator signed; miners may announce a TLS proxy",
    ),
    Weakness(
        7,
        "A validator's signature of a job covers no time and no hotkey",
        ("miner/jobs/test_intake.py::test_a_started_receipt_of_another_job_is_declined",),
        "the signed text is fixed by the protocol",
        "the started receipt inside the offer names both hotkeys, the job and a time, and is checked; a "
        "job's uuid is accepted once",
    ),
    Weakness(
        8,
        "The stats collector's signature does not cover the body",
        remains="nothing here sends or takes such reports",
        mitigation=NOT_IMPLEMENTED,
    ),
    Weakness(
        9,
        "A login nonce can be used for 300 s, and text that begins with 0x is signed as bytes",
        (
            "facilitator/accounts/test_auth.py::test_a_nonce_is_good_for_one_login",
            "facilitator/accounts/test_auth.py::test_a_nonce_never_looks_like_hexadecimal_bytes",
            "compute_horde_sdk/facilitator/test_auth.py::test_nothing_but_a_nonce_is_signed",
        ),
    ),
    Weakness(
        10,
        "Cheat reports can never be verified",
        (
            "facilitator/jobs/test_submission.py::test_a_cheat_report_reaches_the_validator_with_its_details",
            "compute_horde/protocol/test_job.py::test_a_cheat_report_signed_as_the_published_validator_expects_is_accepted_too",
        ),
    ),
    Weakness(
        11,
        "`artifacts_dir: null` is refused",
        (
            "facilitator/jobs/test_submission.py::test_a_null_artifacts_dir_and_absent_lists_are_fine",
        ),
    ),
    Weakness(
        12,
        "An invalid signature or class is answered with 500 and tried five times",
        (
            "facilitator/jobs/test_submission.py::test_a_wrong_signature_is_refused_with_its_reason",
            "facilitator/jobs/test_submission.py::test_a_bad_field_is_named",
        ),
    ),
    Weakness(
        13,
        "Creating a job is not idempotent; two connections run a job twice; a lost one loses it",
        (
            "facilitator/jobs/test_submission.py::test_the_same_idempotency_key_and_body_make_one_job",
            "facilitator/jobs/test_validator_connections.py::test_a_job_goes_to_exactly_one_of_two_connections",
            "facilitator/jobs/test_validator_connections.py::test_a_job_not_yet_received_goes_to_the_other_connection",
            "facilitator/test_watchdog.py::test_a_job_nobody_took_in_time_is_given_up_and_the_user_told",
        ),
    ),
    Weakness(
        14,
        "Long jobs are reported as failed while they run; statuses overtake one another",
        (
            "validator/facilitator/test_outbox.py::test_statuses_leave_in_the_order_they_came",
            "facilitator/test_validator_consumer.py::test_statuses_may_come_in_any_order_and_are_shown_in_that_of_a_jobs_life",
        ),
    ),
    Weakness(
        15,
        "The validator's own errors are reported as the job's",
        (
            "compute_horde/test_faults.py::test_a_cause_is_believed_of_whoever_can_know_it",
            "validator/facilitator/test_status_reports.py::test_failures_are_copied_whole",
        ),
    ),
    Weakness(
        16,
        "A frame over 1 MiB kills the validator's connection",
        (
            "facilitator/jobs/test_submission.py::test_a_job_too_long_for_validators_is_refused_with_its_size_and_a_remedy",
            "validator/facilitator/test_status_reports.py::test_nothing_a_miner_says_makes_a_report_that_the_facilitator_cannot_hear",
        ),
    ),
    Weakness(
        17,
        "Executors are reserved too late, killed by a wrong name, and after 20 minutes",
        (
            "miner/executors/test_pool.py::test_an_executor_is_reserved_for_one_job_only",
            "executor/hostile/test_ending.py::test_what_a_job_leaves_running_ends_with_it",
        ),
    ),
    Weakness(
        18,
        "Results said while the validator is away are lost; one lost connection fails the job",
        (
            "miner/jobs/test_active_jobs.py::test_a_result_is_sent_at_each_login_until_the_finished_receipt",
            "validator/jobs/test_conversation.py::test_a_miner_that_comes_back_repeats_its_facts_and_the_job_ends_well",
            "validator/miners/test_connection.py::test_a_miner_that_refuses_us_is_not_stormed",
        ),
    ),
    Weakness(
        19,
        "A class that is not offered crashes the miner; an unverifiable started receipt is ignored",
        ("miner/jobs/test_intake.py::test_an_invalid_started_receipt_is_declined",),
    ),
    Weakness(
        20,
        "The image's pull counts against the start-up; some answers make downloads go on for ever",
        (
            "executor/transfer/test_resumable_download.py::test_one_byte_a_connection_is_no_way_to_go_on",
            "executor/transfer/test_resumable_download.py::test_a_range_that_is_none_is_refused",
        ),
    ),
    Weakness(
        21,
        "Excuses of busy miners are judged by different windows on both sides",
        ("miner/receipts/test_store.py::test_only_organic_started_receipts_that_are_valid_excuse",),
        "validators do not weigh excuses yet",
        "a busy miner is asked again and is not held to account for it",
    ),
    Weakness(
        22,
        "A forged receipt with a known uuid shadows the real one; pages are unbounded",
        (
            "miner/jobs/test_intake.py::test_a_receipt_that_the_validator_did_not_sign_is_not_stored",
            "miner/receipts/test_store.py::test_of_two_receipts_of_a_type_the_first_is_kept",
        ),
        "reading other miners' pages is not part of this version",
        "what a miner publishes is stored per issuer, so that nobody's receipt stands for another's",
    ),
    Weakness(
        23,
        "Payment marks all offered blocks as spent",
        remains="so does the formula `allowance`, as all validators do; a validator that offers more "
        "blocks than a job needs loses them itself",
        mitigation="this validator names no more blocks than the score of the job needs",
    ),
    Weakness(
        24,
        "Strangers may open sockets at the miner, and their messages queue without bound",
        (
            "network/test_bad_frames.py::test_a_storm_of_strangers_is_kept_outside",
            "miner/jobs/test_validator_consumer.py::test_messages_kept_before_the_login_are_limited",
            "compute_horde/django/test_connection_limits.py::test_connections_of_one_address_are_bounded_until_they_are_known",
        ),
    ),
    Weakness(
        25,
        "Paths of volumes write anywhere; archives and downloads are unbounded and reach private "
        "addresses",
        (
            "executor/transfer/test_http_client.py::test_a_redirect_into_our_network_is_refused",
            "executor/transfer/test_archives.py::test_links_and_devices_are_refused",
            "validator/jobs/test_rules.py::test_a_path_that_every_miner_would_refuse_is_refused_before_any_is_asked",
        ),
    ),
    Weakness(
        26,
        "Results are read through links that the job made",
        (
            "executor/hostile/test_looking.py::test_links_of_a_job_lead_nowhere_on_the_machine",
            "executor/sandbox/test_workdir.py::test_no_link_is_followed_on_the_way_or_at_the_end",
        ),
    ),
    Weakness(
        27,
        "Jobs have no limits and all capabilities",
        (
            "executor/hostile/test_looking.py::test_the_limits_hold_where_the_kernel_keeps_them",
            "executor/hostile/test_filling.py::test_a_disk_is_bounded_in_every_folder",
            "executor/hostile/test_looking.py::test_whatever_is_tried_is_refused",
        ),
    ),
    Weakness(
        28,
        "Artifacts over the limit are dropped silently; their number is unbounded",
        (
            "executor/output/test_artifacts.py::test_what_is_left_out_is_named",
            "compute_horde_sdk/test_losses.py::test_with_o_a_left_out_artifact_ends_with_3_after_the_others_are_saved",
        ),
    ),
    Weakness(
        29,
        "What a class promises is not verified; an image's tag may change",
        remains="hardware is verified by measurement only where the validator's puzzles do so",
        mitigation="a manifest is believed up to a number per class; a job may name its image by digest",
    ),
    Weakness(
        30,
        "Environment, tokens and signed URLs are readable by facilitator, validator and miner",
        remains="who passes a job on must read it, and who runs it must have its secrets",
        mitigation="they stand in no log and no miner's table; give jobs tokens and URLs that end with "
        "the job",
    ),
)
