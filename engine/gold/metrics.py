"""The gate's metrics: what a model answered on the gold set -> one score an item.

A metric reads log-likelihoods of choices or a greedy continuation (``Answer``). Scores are
shares, so that their mean times 100 is in points, and items pair across the gate's arms. All lie
in 0..1 but those of macro-F1, which is no mean over items: see ``macro_f1``. Beside every metric
the log-probability of the gold answer is recorded; it is continuous, and decides nothing.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.errors import InputError
from engine.normal_form import composed, normal_text, normal_words

PATTERN_SECONDS = 5.0
"""A pattern still searching after this has found nothing: a hostile one backtracks for ever."""


@dataclass(frozen=True)
class Answer:
    """What one model did on one item."""

    likelihoods: tuple[float, ...] = ()
    """Nats of each choice with the end-of-text token behind it; empty for a continuation."""
    text: str = ""
    """The greedy continuation; empty for choices."""
    logprob: float = math.nan
    """Nats of the gold completion and its end-of-text token."""

    @property
    def place(self) -> int:
        """The choice of highest log-likelihood; the first of equals."""
        return max(range(len(self.likelihoods)), key=self.likelihoods.__getitem__)


class JudgedItem(Protocol):
    """What a metric reads of a gold item (``engine.gold.example``)."""

    @property
    def completion(self) -> str: ...
    @property
    def choices(self) -> tuple[str, ...]: ...
    @property
    def label(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def pattern(self) -> str: ...


class MetricSettings(Protocol):
    """What a metric reads of the recipe's ``[gate]``; its ``metric`` is a name of ``METRICS``."""

    @property
    def metric(self) -> str: ...
    @property
    def pattern(self) -> str | None: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def rules(self) -> int: ...


Gold = Sequence[JudgedItem]
Answers = Sequence[Answer]


def _unchecked(gold: Gold, gate: MetricSettings) -> None:
    """Every gold set can be judged by this metric."""


@dataclass(frozen=True)
class Metric:
    """One way of scoring a gold set."""

    score: Callable[[Gold, Answers, MetricSettings], list[float]]
    """Per item, in the order given."""
    says: str
    """What it measures, in words for a report."""
    choices: bool = False
    """Reads log-likelihoods of choices; else a continuation."""
    bounded: bool = True
    """Every item's score is in 0..1; else only their mean is."""
    check: Callable[[Gold, MetricSettings], None] = _unchecked
    """InputError where this gold set cannot be judged by this metric."""
    by_class: bool = False
    """A constant guess scores little: rare answers count as much as frequent ones."""
    reads_pattern: bool = False
    """``gate.pattern`` is for it."""
    exact: bool = False
    """An answer longer than the completion is wrong whatever follows."""
    hub_name: str = ""
    """The hub's name of it in a model card; empty for its own."""


def item_scores(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """Scores of the gate's metric [n]; their mean times 100 is the arm's score in points."""
    return METRICS[gate.metric].score(gold, answers, gate)


def answer_text(example: JudgedItem, answer: Answer) -> str:
    """What was answered, in words."""
    return example.choices[answer.place] if answer.likelihoods else answer.text


# --- choices --------------------------------------------------------------------------------


def choice(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """1 where the right choice has the highest summed log-likelihood."""
    return [float(e.choices[a.place] == e.completion) for e, a in zip(gold, answers, strict=True)]


def choice_norm(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """The same after dividing by the UTF-8 bytes of each choice.

    Bytes, not tokens: a choice is as long in every model (lm-eval's acc_bytes; its acc_norm
    divides by characters).
    """
    return choice(gold, [per_byte(e, a) for e, a in zip(gold, answers, strict=True)], gate)


def per_byte(example: JudgedItem, answer: Answer) -> Answer:
    """The answer with nats a byte in place of nats."""
    sizes = [len(text.encode()) for text in example.choices]
    shares = (nats / max(1, size) for nats, size in zip(answer.likelihoods, sizes, strict=True))
    return Answer(tuple(shares), answer.text, answer.logprob)


def classes_of(gold: Gold) -> dict[str, str]:
    """The class of each choice: the label its items carry, else its own text."""
    named = {example.completion: example.label for example in gold if example.label}
    return {text: named.get(text, text.strip()) for e in gold for text in e.choices}


def macro_f1(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """Macro-F1 over the classes of the gold set, as one value an item.

    F1 of class c is 2 TP / D with D = items of c + answers c; macro-F1 is the mean over the
    classes that the gold set holds, so both arms and all seeds average over the same ones. It is
    no mean over items, so an item's value is the infinitesimal jackknife's (Efron 1982, ch. 6):
    F + n dF/dw_i, where w_i is the item's weight. Since F does not change when all weights grow
    alike, the values' mean is exactly F, and their spread over items gives its standard error to
    first order (the delta method). A value may lie outside 0..1: an item of a rare class moves
    its F1 by more than 1/n.
    """
    classes = classes_of(gold)
    truth = [classes[example.completion] for example in gold]
    found = [classes[answer_text(e, a)] for e, a in zip(gold, answers, strict=True)]
    return f1_values(truth, found, source_weights(gold) if gate.rules > 1 else None)


def source_weights(gold: Gold) -> list[float]:
    """What each item weighs [n]: the items of one source 1 together, as in the gate's test."""
    sizes = Counter(example.group for example in gold)
    return [1 / sizes[example.group] if example.group else 1.0 for example in gold]


def f1_values(
    truth: Sequence[str], found: Sequence[str], weights: Sequence[float] | None = None
) -> list[float]:
    """Infinitesimal-jackknife values of macro-F1 [n]; see ``macro_f1``.

    With ``weights`` [n] a seed's weighted mean is the macro-F1 of the weighted items, so that
    it is the mean over sources of their items' means.
    """
    weights = [1.0] * len(truth) if weights is None else weights
    sizes: defaultdict[str, float] = defaultdict(float)
    hits: defaultdict[str, float] = defaultdict(float)
    for one, other, weight in zip(truth, found, weights, strict=True):
        sizes[one] += weight
        sizes[other] += weight
        hits[one] += weight * (one == other)
    scored = {name: 2 * hits[name] / sizes[name] for name in set(truth)}
    mean = math.fsum(scored.values()) / len(scored)

    def slope(one: str, other: str) -> float:
        """Sum over classes of dF_c/dw of an item of class ``one`` answered ``other``."""
        right = 2 / sizes[one] if one == other else 0.0
        return right - sum(scored[name] / sizes[name] for name in (one, other) if name in scored)

    scale = math.fsum(weights) / len(scored)
    return [mean + scale * slope(one, other) for one, other in zip(truth, found, strict=True)]


def _shared_choices(gold: Gold, gate: MetricSettings) -> None:
    for number, example in enumerate(gold, 1):
        if set(example.choices) != set(gold[0].choices):
            raise InputError(
                f"gate.metric macro_f1 needs classes, but gold item {number} has other choices "
                'than the first; give all items the same, or use metric = "choice"'
            )


# --- continuations --------------------------------------------------------------------------


def exact_match(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """1 where the continuation's normal form equals the completion's, but for outer blanks."""
    texts = [(normal_text(e.completion), a.text) for e, a in zip(gold, answers, strict=True)]
    return [float(normal_text(given).strip() == wanted.strip()) for wanted, given in texts]


_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_words(text: str) -> list[str]:
    """Lower case, without ASCII punctuation and English articles (SQuAD's own evaluation)."""
    return _ARTICLES.sub(" ", normal_words(text).translate(_PUNCTUATION)).split()


def token_f1(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """F1 of the words that both texts share (Rajpurkar 2016); two empty texts are equal."""
    pairs = zip(gold, answers, strict=True)
    return [words_f1(squad_words(e.completion), squad_words(a.text)) for e, a in pairs]


def words_f1(wanted: list[str], found: list[str]) -> float:
    return _f1((Counter(wanted) & Counter(found)).total(), len(wanted), len(found))


def _f1(shared: int, wanted: int, found: int) -> float:
    return 2 * shared / (wanted + found) if wanted and found else float(wanted == found)


_ROUGE = re.compile(r"[^\W_]+")


def rouge_l(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """ROUGE-L F1: the longest common subsequence of lower-case words (Lin 2004), no stemming.

    Words are runs of letters and digits of any script; rouge-score knows a-z and 0-9 only.
    """
    from rapidfuzz.distance import LCSseq

    def words(text: str) -> list[str]:
        return _ROUGE.findall(normal_words(text))

    def one(wanted: list[str], found: list[str]) -> float:
        return _f1(LCSseq.similarity(wanted, found), len(wanted), len(found))

    pairs = zip(gold, answers, strict=True)
    return [one(words(e.completion), words(a.text)) for e, a in pairs]


def matched(pattern: str, text: str) -> str | None:
    """The first group of the first match, or all of it; None where nothing matches in time."""
    import regex

    try:
        found = regex.search(composed(pattern), composed(text), timeout=PATTERN_SECONDS)
    except TimeoutError:
        return None
    if found is None:
        return None
    return str((found[1] or "") if found.re.groups else found[0]).strip()


def by_pattern(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """1 where the item's own pattern matches; else where the recipe's finds what it should."""
    scores = []
    for example, answer in zip(gold, answers, strict=True):
        found = matched(example.pattern or gate.pattern or "", answer.text)
        wanted = None if example.pattern else matched(gate.pattern or "", example.completion)
        scores.append(float(found is not None and (example.pattern != "" or found == wanted)))
    return scores


def _patterns(gold: Gold, gate: MetricSettings) -> None:
    import regex

    for number, example in enumerate(gold, 1):
        pattern = example.pattern or gate.pattern
        where = f"gold item {number}" if example.pattern else "gate.pattern"
        if not pattern:
            raise InputError(
                f'gold item {number} has no pattern for metric = "regex"; set gate.pattern, or '
                "give each item one"
            )
        try:
            regex.compile(pattern)
        except regex.error as error:
            raise InputError(f"{where}: {pattern[:60]!r} is no pattern ({error})") from None
        if matched(pattern, example.completion) is None:
            raise InputError(
                f"{where}: {pattern[:60]!r} does not match the completion of gold item {number} "
                f"({example.completion[:40]!r}), so no answer could be right; correct one of them"
            )


_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+")


def number_in(text: str) -> float | None:
    """The last number in a text (thousands may have commas); None without one.

    The last, since an answer ends a derivation (GSM8K's evaluation).
    """
    found = _NUMBER.findall(normal_text(text))
    return float(found[-1].replace(",", "")) if found else None


def numeric(gold: Gold, answers: Answers, gate: MetricSettings) -> list[float]:
    """1 where the last number differs by at most ``tolerance`` times the gold one."""
    pairs = zip(gold, answers, strict=True)
    return [_near(number_in(e.completion), number_in(a.text), gate.tolerance) for e, a in pairs]


def _near(wanted: float | None, found: float | None, tolerance: float) -> float:
    if wanted is None or found is None:
        return 0.0
    return float(abs(found - wanted) <= max(tolerance, NUMBER_ROUNDING) * abs(wanted))


NUMBER_ROUNDING = 1e-12
"""Decimal fractions have no exact float: 0.30 is 0.3."""


def _numbers(gold: Gold, gate: MetricSettings) -> None:
    for number, example in enumerate(gold, 1):
        if number_in(example.completion) is None:
            raise InputError(
                f"gold item {number}: no number in its completion {example.completion[:40]!r}; "
                "give one, or use another gate.metric"
            )


METRICS: dict[str, Metric] = {
    "choice": Metric(
        choice, "accuracy by summed log-likelihood of the choices", True, hub_name="accuracy"
    ),
    "choice_norm": Metric(choice_norm, "accuracy by log-likelihood per byte of the choices", True),
    "macro_f1": Metric(
        macro_f1, "macro-F1 over the classes", True, False, _shared_choices, by_class=True
    ),
    "exact_match": Metric(
        exact_match, "share of continuations equal to the completion", exact=True
    ),
    "token_f1": Metric(token_f1, "F1 of shared words (SQuAD)"),
    "rouge_l": Metric(rouge_l, "ROUGE-L F1 of words, no stemming"),
    "regex": Metric(
        by_pattern,
        "share of continuations that match the pattern",
        check=_patterns,
        reads_pattern=True,
    ),
    "numeric": Metric(numeric, "share of continuations whose last number is right", check=_numbers),
}
"""By the name that ``[gate] metric`` gives."""
