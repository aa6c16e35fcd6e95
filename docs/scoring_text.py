"""What the page of how miners are scored says between its computed examples."""

from docs.tables import NOTE

INTRODUCTION = f"""{NOTE}
# How miners are scored

A validator divides its weights among miners once per cycle (722 blocks, about two hours and 24
minutes), for the work of the cycle before. It uses one of three formulas:

* `jobs`: a point for each job that was completed or declined with a valid excuse
* `seconds`: the seconds that executors worked, by the value of their class and their efficiency
* `allowance`: the seconds of users' jobs that validators paid for with block allowance

Each formula first gives points in each executor class. What comes then is the same for all and is
described under [From points to weights](#from-points-to-weights).

## Why a miner has the share that it has

Every share comes with its line items. An item says the reason, what was counted, and what it
contributes; the items of a miner sum to its share exactly. An item that contributes nothing says
what would have changed that: "class not offered" is followed by the class to offer. All numbers are
exact fractions until the end, where shares get twelve decimals, so the same facts and parameters
give the same bytes on every machine.

Everybody can compute a cycle again, without settings, database or key:

    python -m validator formula                     # lists what can be computed
    python -m validator formula jobs < cases.json   # fills in the outputs of each case

A validator says why a miner earned what it earned: `python -m validator explain HOTKEY`, or at its
address `/scores/HOTKEY`, signed. `export` prints everything that a cycle's scores come from, and
`replay` computes them again anywhere.

`cases.json` is an object with a list `cases`; a case of these three formulas has `facts`
(`CycleFacts` in `validator/scoring/facts.py`) and, where they differ from the table below,
`parameters`.
"""
JOBS = """## The formula `jobs`

| job | points |
| --- | --- |
| synthetic job, right answer in time | 1 |
| user's job, completed | 1 |
| job declined as busy, with a valid excuse | 1 |
| synthetic job that a fault on the validator's side made fail | 1 |
| anything else: refused, failed, wrong, late, cheated | 0 |

What a fault on the validator's side explains counts exactly as a right answer does, so that it
costs an innocent miner nothing; [synthetic-batches.md](synthetic-batches.md) says which faults are
found and what they explain.

An excuse is valid when receipts of other jobs prove that all executors of the class have work. A
validator takes them from the pages that the miner publishes: besides started receipts also accepted
ones, which hold an executor until they end or the job is finished; those of other validators for
ten minutes (`VALIDATOR_EXCUSE_SECONDS`), or longer while interval receipts follow. In the formula
`excuses` of the published network a receipt counts when it is of the kind "started", names this
miner, another job and the same class, was signed before the declined job and has not ended yet (2
seconds are allowed), and its validator has enough stake; a
synthetic job is excused by users' jobs only. With four executors, one accepted
job and three receipts the other three jobs are excused: 1 + 3 = 4. With two receipts they are not.

Example: A completes three synthetic jobs and a user's job. B completes one synthetic job and
refuses another without an excuse.
"""
SECONDS = """## The formula `seconds`

    points = sum over classes of: value of the class * efficiency factor * seconds of work

Seconds of users' jobs and of benchmarks count alike; only completed jobs count. A synthetic job
that a fault on the validator's side made fail counts the mean time of the miner's completed ones of
the class in the cycle, or of all miners' if it has none.

The efficiency factor is what the validator measured of the miner's executors of the class in the
batches of the last ten cycles: the mean of promised / measured time over right answers to `hash`
and `llm` jobs, where `VALIDATOR_HASH_PROMISED_SECONDS` or the kind's `promised_seconds` says what
the class promises. It is at most 1, and 1 until measured. A refusal without an excuse, while by the
receipts the miner had executors free, takes a step off the factor; work gives it back, up to where
it was. What is left of the factor is carried on to the next cycle.

A user's job is refused so if the miner declined it as busy, for a reason of its own or because it
serves this validator no more, and did not take it later. It counts only if the miner's effective
manifest of that block is known and has more executors of the class than had jobs by the receipts of
this validator and of those with enough stake; an executor whose job was over less than a minute
before had one. Of a miner and class the first ten declines in a cycle are looked at.

Example: A works 3600 seconds on users' jobs and 900 on benchmarks, with executors measured at 95 %
of what their class promises, and refuses one job while two executors are free. After the refusal it
works half an hour, which heals half of the step. B works 2000 seconds.
"""
ALLOWANCE = """## The formula `allowance`

Each block gives each validator, at each miner and class, seconds of allowance:

    executors * stake of the validator / stake of all validators * length of the block

With four executors, a quarter of the stake and 12 seconds a block that is 12 seconds: ten blocks
pay for a job of 120 seconds. The finished receipt of a user's job names the blocks that pay for it.
Every validator checks every receipt, in the order of time and job: a block may be 722 blocks old
(737 with the leeway), pays once, and is void when the miner has offered fewer executors since. If
what is left covers the cost of the job, its seconds count; if not, the receipt counts nothing.

A validator reads stakes and effective manifests from its log of the network, and receipts as issued
here and as published by miners; those of the 1474 blocks before the cycle may have used up blocks
and earn nothing again. Every block counts 12 seconds. The block at which a job started is that of
the time of its started receipt, so that a job without one does not count, nor does one that
finished before it started. A job that lasted more than 737 blocks is not paid: its blocks could be
offered again when its receipt is no longer read. Neither is a receipt that names more than 738
blocks, since they cannot all be young enough. Of the receipts of one validator at one miner the
oldest 512 KiB count; the log says how many were left out.

A validator with this formula pays for its own users' jobs the same way. Before it offers a job to a
miner it reserves blocks there that cover the job's price, the sum of its time limits: the oldest
ones that it has not spent, at most 722 blocks old and none of the last five, since others may see
the job start a little earlier or later. A miner at which they are too few is passed over; when that
leaves no miner, the job is rejected (`no_miner_for_job`, with the exception type
`NotEnoughAllowanceException`). The finished receipt names as many of the reserved blocks as its
score needs and the others are free again: all of them when the miner declined or the job earns
nothing. Interval receipts name no blocks; the finished receipt pays for all of the job, so that a
job which never gets one is not paid. If blocks were reserved and do not cover the score any more,
the receipt names none and the log says what is missing. No block is spent twice: reservations at a
miner and class wait for each other, and the database stores each block once. Operators' jobs and
jobs on the trusted miner need no allowance. A validator without a permit, or with less stake than
`VALIDATOR_RECEIPT_MIN_STAKE`, has none, so with this formula it rejects all other jobs.

Example: A has receipts of 120 and 60 seconds; the second one offers a block that the first one
used up. B has one of 60 seconds.
"""
TAIL = """## When the tempo changes

The owner of the subnet may change its tempo at any time; then all cycles begin and end elsewhere. A
validator pays from the last block that it paid up to the end of the cycle before the present one,
so that every block of work is paid exactly once:

* if the cycle before began earlier, only the blocks after the last paid one count
* if it began later, the blocks in between count with it, as far as two cycles back
* if all of it is paid, or what is left has no batch, the last weights are set again, unchanged, and
  what is left counts with the next cycle; so each window has weights of work that was measured

Work is scored once and paid as it was scored, a batch counts where its cycle began, and
explanations and exports name the blocks. In blocks that are no whole cycle no sizes are compared:
there is no dancing bonus by size and no peak penalty. The main hotkey is the one named last in
these blocks. While a transaction may yet pay some of the blocks, nothing else is sent for them, and
no window gets two. Work whose window was missed for another reason is not paid later.

## From points to weights

1. **Horde score** (classes in `horde.classes`): the points of n jobs or executors are multiplied by
   average^alpha * 1 / (1 + exp(10^beta * (1/n - delta))). With the usual parameters one executor
   counts 0.5, ten count 7.1: larger hordes are worth more. Users' jobs in the formula `jobs` are
   added without it.
2. **Main hotkey** (`dancing.main_hotkey_share`): the points of all hotkeys of a coldkey are put
   together; the main hotkey, which the miner names once per cycle, gets 80 %, the others divide the
   rest evenly. Without a main hotkey all get the same. With `dancing.kind` = `main_hotkey` they get
   a bonus when the main hotkey differs from the cycle before. Example: two hotkeys with 120 points,
   the main one moved: 132 points, 105.6 for the main hotkey and 26.4 for the other. A validator
   asks for it when a quarter of the cycle is over, until a miner of the coldkey names one of its
   registered hotkeys; that answer holds for the cycle.
3. **Class weights**: the points of a class are scaled to sum to its weight. A class in which nobody
   worked gives nothing. The formula `seconds` has values instead and compares all points.
4. **Dancing by size** (`dancing.kind` = `size`): a miner whose executors, counted by class weight,
   changed by the ratio 1.4 or more between the last two peak cycles gets the bonus: 10 to 14 or 14
   to 10 does, 10 to 13 does not.
5. **Peak penalty**: outside of peak cycles (one of ten) a tenth of the executors must stay. A miner
   that had 30 at the peak and has 2 now keeps 80 % of its score.
6. **Limits of the chain**: no share above the chain's maximum, and no fewer weights than it wants.
7. **Burn**: a part of every share goes to burn targets; one of them, chosen by the cycle's start,
   gets most of it. Example: shares 0.6 and 0.4, rate 0.3, partition 0.8, three targets: 0.42 and
   0.28; 0.24, 0.03 and 0.03. Then the limits apply again.
8. **Integers**: the largest share becomes 65535, the others in proportion, halves to even. Where
   nobody earned anything all are 0 and nothing is set; with burn targets, they get everything.

Example, with everything at once: A has ten synthetic jobs of the spin-up class, on the main hotkey
A1 of two, which it changed. B has two such jobs and one of the LLM class. 30 % are burned.
"""
PARAMETERS = """## Parameters

The parameters of a cycle are stored with its scores. Values are those of the newest version of each
formula, where they differ as `jobs` / `seconds` / `allowance`. The dancing bonus is 0.3 as of
December 2024; 0.05 (by size) and 0.1 (by main hotkey) are those of other versions.
"""
