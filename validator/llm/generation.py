"""The step `generation`: has series of prompts made on the trusted miner."""

from uuid import uuid4

from compute_horde.uploads import FilePut
from validator.llm import trusted_work
from validator.llm.models import PromptSeries, SolveWorkload
from validator.llm.programs.answer_file import MAX_BYTES, BadFileError, read_prompts
from validator.llm.trusted_work import PipelineTools


def generate(tools: PipelineTools) -> str:
    """Make as many series as fit into a run; returns what was done, or why nothing.

    Raises:
        BucketError: a bucket could not be used.
        TrustedMinerError: the job could not be run on the trusted miner.
        BadFileError: what it uploaded are not the prompts that were asked for.
    """
    policy, bucket = tools.policy, tools.buckets.prompts
    if SolveWorkload.objects.filter(finished_at=None).exists():
        return "workloads are waiting for their answers, which come first"
    there = PromptSeries.objects.count()
    count = min(policy.series_per_run, policy.most_series - there)
    if count <= 0:
        return f"there are enough series: {there}"
    made = [
        PromptSeries(uuid=uuid4(), image=policy.prompts_image, prompts=policy.prompts_per_series)
        for _ in range(count)
    ]
    uploads = [
        FilePut(url=bucket.url_to_put(one.key, policy.url_seconds), relative_path=one.key)
        for one in made
    ]
    args = [
        f"--uuids={','.join(str(one.uuid) for one in made)}",
        f"--model_name={policy.model}",
        f"--quantize={policy.quantize}",
        f"--max_new_tokens={policy.prompt_tokens}",
        f"--number_of_prompts_per_batch={policy.prompts_per_series}",
    ]
    tools.run_job(
        trusted_work.job(
            policy,
            policy.prompts_image,
            args,
            policy.generation_seconds,
            inputs=[],
            outputs=uploads,
        )
    )
    for series in made:
        found = len(read_prompts(bucket.get(series.key, MAX_BYTES)))
        if found != series.prompts:
            raise BadFileError(f"{series.key} has {found} prompts instead of {series.prompts}")
    PromptSeries.objects.bulk_create(made)
    return f"{count} series made, there are {there + count}"
