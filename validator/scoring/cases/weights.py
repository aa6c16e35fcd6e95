"""Cases about scores and weights, from a single horde to the chain's integers."""

from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field

from validator.scoring.burn import BurnRule, burned, main_burner
from validator.scoring.cases.form import (
    U16,
    Block,
    CaseForm,
    Hotkey,
    Neurons,
    Scores,
    neuron_hotkeys,
    nonzero,
)
from validator.scoring.chain_limits import U16 as LARGEST
from validator.scoring.chain_limits import limited_weights
from validator.scoring.class_weighting import weighted_scores
from validator.scoring.exact import NotNegative, Number, Part
from validator.scoring.horde_score import horde_score, reversed_sigmoid, sigmoid
from validator.scoring.main_hotkey import MainHotkeyRule, split
from validator.scoring.u16 import scaled_to_max

Exponent = Annotated[Number, Field(ge=-100, le=100)]
Targets = Annotated[tuple[Hotkey, ...], Field(max_length=65536)]
# Weight of the only class in the cases from class scores to integers.
CLASS_WEIGHT = Fraction(100)


class SigmoidCase(CaseForm):
    """The sigmoid and its mirror at x."""

    x: Number
    beta: Number
    delta: Number

    def outputs(self) -> dict[str, Any]:
        """Both values."""
        return {
            "sigmoid": sigmoid(self.x, beta=self.beta, delta=self.delta),
            "reversed_sigmoid": reversed_sigmoid(self.x, beta=self.beta, delta=self.delta),
        }


class HordeScoreCase(CaseForm):
    """The score of a miner's benchmarks in a class."""

    benchmarks: tuple[NotNegative, ...]
    alpha: Exponent = Fraction(0)
    beta: Exponent = Fraction(0)
    delta: Number = Fraction(0)

    def outputs(self) -> dict[str, Any]:
        """The score."""
        score = horde_score(self.benchmarks, alpha=self.alpha, beta=self.beta, delta=self.delta)
        return {"expected": score}


class ClassWeightingCase(CaseForm):
    """The scores of a class, and its weight."""

    scores: Scores
    weight: NotNegative

    def outputs(self) -> dict[str, Any]:
        """The scaled scores."""
        return {"expected": weighted_scores(self.scores, self.weight)}


class MainHotkeySplitCase(CaseForm):
    """The score of a coldkey with its hotkeys; rule and parameters are those of the file."""

    hotkeys: tuple[Hotkey, ...]
    total: NotNegative
    main_now: str | None
    main_before: str | None
    dancing_bonus: NotNegative = Fraction(1, 10)
    main_hotkey_share: Part = Fraction(4, 5)

    def outputs(self) -> dict[str, Any]:
        """The part of each hotkey."""
        rule = MainHotkeyRule(self.main_hotkey_share, self.dancing_bonus)
        parts = split(
            self.hotkeys, self.total, now=self.main_now, before=self.main_before, rule=rule
        )
        return {"expected": parts}


class U16Case(CaseForm):
    """Weights that become integers up to `max`."""

    weights: tuple[NotNegative, ...]
    max: U16 = 65535

    def outputs(self) -> dict[str, Any]:
        """The integers."""
        return {"expected": scaled_to_max(self.weights, self.max)}


class _SubnetCase(CaseForm):
    neurons: Neurons
    scores: Scores
    burn_targets: Targets = ()
    burn_rate: Part = Fraction(0)
    burn_partition: Part = Fraction(0)
    cycle_start: Block = 0
    min_allowed_weights: Annotated[int, Field(ge=0, le=65536)] = 0
    max_weight_limit: U16 = LARGEST

    def limited(self, scores: dict[int, Fraction]) -> dict[int, Fraction]:
        """The scores by uid as weights that sum to 1, within the limits."""
        return limited_weights(
            scores,
            uids=range(self.neurons),
            min_weights=self.min_allowed_weights,
            max_weight=self.max_weight_limit,
        )

    def burned(
        self, weights: dict[int, Fraction], uids: dict[str, int]
    ) -> tuple[dict[int, Fraction], str | None]:
        """The weights by uid after burning and the limits again, and the main burner."""
        rule = BurnRule(
            frozenset(self.burn_targets) & uids.keys(), self.burn_rate, self.burn_partition
        )
        main = main_burner(rule.targets, cycle_start=self.cycle_start) if rule.rate else None
        if main is None:
            return weights, None
        shares = {hotkey: weights.get(uid, Fraction(0)) for hotkey, uid in uids.items()}
        after = burned(shares, rule, main=main)
        return self.limited({uids[hotkey]: share for hotkey, share in after.items()}), main


class WeightsPerUidCase(_SubnetCase):
    """The scores of hotkeys h0, h1 and so on as weights of uids, within the chain's limits."""

    def outputs(self) -> dict[str, Any]:
        """The weight of each uid, zeros left out; nothing where no registered miner has a score."""
        uids = neuron_hotkeys(self.neurons)
        scores = {uids[hotkey]: score for hotkey, score in self.scores.items() if hotkey in uids}
        return {"expected": nonzero(self.limited(scores)) if scores else {}}


class BurnCase(_SubnetCase):
    """The scores of hotkeys h0, h1 and so on as weights of uids, after burning."""

    def outputs(self) -> dict[str, Any]:
        """The weight of each uid, and the main burner if something was burned."""
        uids = neuron_hotkeys(self.neurons)
        scores = {uids[hotkey]: score for hotkey, score in self.scores.items() if hotkey in uids}
        weights = self.limited(scores) if scores else {}
        after, main = self.burned(weights, uids)
        return {"expected": nonzero(after), "main_burner": main}


class SetWeightsCase(_SubnetCase):
    """Scores of hotkeys h000, h001 and so on in one class, up to the chain's integers."""

    def outputs(self) -> dict[str, Any]:
        """The integer of each hotkey, zeros left out."""
        uids = neuron_hotkeys(self.neurons, digits=3)
        registered = {key: score for key, score in self.scores.items() if key in uids}
        weighted = weighted_scores(registered, CLASS_WEIGHT)
        scores = {uids[hotkey]: score for hotkey, score in weighted.items()}
        after, _ = self.burned(self.limited(scores) if scores else {}, uids)
        integers = scaled_to_max([after.get(uid, Fraction(0)) for uid in uids.values()])
        named = {hotkey: number for hotkey, number in zip(uids, integers, strict=True) if number}
        return {"expected_u16": named}
