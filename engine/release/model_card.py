"""The model card of an export: what, why, evidence, verdict, hashes, limits.

The front matter is built and read back by huggingface_hub's own classes. Text of strangers is
made inert; no path of this machine and no text of the corpus is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import __version__
from engine.artifacts.all_stages import Artifacts
from engine.artifacts.gate import BaselineArtifact, GateVerdict
from engine.artifacts.scan import SideScan
from engine.artifacts.shipping import FinishArtifact, ReloadProof
from engine.artifacts.training import PackArtifact, TrainArtifact
from engine.errors import InputError
from engine.formatting import format_p_value, format_rate
from engine.gate.wording import percent
from engine.gold.metrics import METRICS
from engine.quality.languages import code_of
from engine.recipe.sections import Recipe
from engine.recipe.toml import provenance
from engine.report.markdown import code, inert, table
from engine.report.training import render_heldout_losses
from engine.runs.run import Run

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

CHECKED = "front matter built and read back by huggingface_hub, offline"
LANGUAGE_SHARE = 0.10
"""A language of the corpus is named in the front matter from this share of its bytes on."""


@dataclass(frozen=True)
class Subject:
    """The model that is described, and all that is known of it."""

    run: Run
    recipe: Recipe
    made: Artifacts
    what: str
    """``cpt`` or ``task``."""
    anyway: str
    proof: ReloadProof

    @property
    def base(self) -> str:
        """The base as a reader elsewhere knows it: its hub id, else its folder's last name."""
        return hub_model(self.recipe) or Path(self.recipe.model.id).name

    @property
    def from_cpt(self) -> bool:
        """Whether the weights have seen the corpus."""
        return self.what == "cpt" or (self.task is not None and self.task.start == "CPT")

    @property
    def task(self) -> FinishArtifact | None:
        """Stage two, where its model is the one described."""
        return self.made.finish if self.what == "task" else None


def hub_model(recipe: Recipe) -> str | None:
    """The base's hub id; None for a local folder or the demo."""
    return _hub_id(recipe.model.id)


def _hub_id(name: str) -> str | None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return None if Path(name).exists() else name


def write(subject: Subject, name: str) -> str:
    """README.md of an export called ``name``. InputError where the hub's classes refuse it."""
    data = build_front_matter(subject, name)
    parts = [
        _render_head(subject, name),
        _render_verdict(subject),
        _render_evidence(subject),
        _render_data(subject),
        _render_limits(subject),
        _render_use(subject.proof),
        _render_provenance(subject),
    ]
    text = f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(part for part in parts if part)
    check(text, data.to_dict())
    return text


def build_front_matter(subject: Subject, name: str) -> ModelCardData:
    """Only what is known; a guess would be worse than a gap."""
    from huggingface_hub import ModelCardData

    recipe = subject.recipe
    parts = (*recipe.corpus.parts, *recipe.generic.parts) if subject.from_cpt else ()
    sources = [part.path for part in parts]
    hub = [_hub_id(path.removeprefix("hub:")) for path in sources if path.startswith("hub:")]
    tags = ["cpt", "task-model" if subject.what == "task" else "base-model"]
    tags += ["continued-pretraining"] if subject.from_cpt else []
    results = _list_results(subject.task) if subject.task else None
    return ModelCardData(
        base_model=hub_model(recipe),
        library_name="transformers",
        pipeline_tag="text-generation",
        language=_list_languages(subject) or None,
        license=_read_license(subject),
        datasets=sorted({one for one in hub if one}) or None,
        tags=tags,
        model_name=name if results else None,
        eval_results=results,
    )


def _list_languages(subject: Subject) -> list[str]:
    """Codes of the corpus's larger languages."""
    scan = subject.made.scan
    quality = scan.domain.quality if scan else None
    languages = quality.languages if quality else []
    large = [one.name for one in languages if one.share >= LANGUAGE_SHARE]
    return [code for name in large if (code := code_of(name))]


def _read_license(subject: Subject) -> str | None:
    """The base's licence where its own card names it."""
    card = Path(subject.recipe.model.id).expanduser() / "README.md"
    if not card.is_file():
        return None
    from huggingface_hub import metadata_load

    try:
        found = (metadata_load(card) or {}).get("license")
    except Exception:  # front matter of a stranger breaks in its own ways
        return None
    return found if isinstance(found, str) and found.isprintable() else None


def _list_results(finish: FinishArtifact) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    row = next(row for row in finish.rows if row.name == f"{finish.start}+SFT")
    known = METRICS.get(finish.metric)
    metric = (known.hub_name if known else "") or finish.metric
    result = EvalResult(
        task_type="text-generation",
        dataset_type="private",
        dataset_name="the gate's gold set",
        metric_type=metric,
        metric_name=f"{metric}, points",
        metric_value=round(row.gold, 2),
    )
    return [result]


def check(text: str, meant: Mapping[str, object]) -> None:
    """Read the card back with the hub's own class; InputError where it says something else.

    The hub's ``validate()`` asks its server and so needs the network: ``--push`` does.
    """
    from huggingface_hub import ModelCard

    try:
        read = ModelCard(text).data.to_dict()
    except Exception as error:
        raise InputError(f"The model card's front matter is not valid: {error}") from None
    if read != meant:
        odd = sorted(k for k in {*read, *meant} if read.get(k) != meant.get(k))
        raise InputError(f"The model card's front matter does not read back: {', '.join(odd)}")


def _render_head(subject: Subject, name: str) -> str:
    recipe = subject.recipe
    base = code(subject.base)
    if subject.what == "task":
        start = "its continued pretraining" if subject.from_cpt else "the base itself"
        what = f"A task model: {base} fine-tuned from {start} by the recipe below."
    else:
        what = f"{base} after continued pretraining (CPT); a base model, not a chat model."
    why = f"\nWhy: {inert(recipe.recipe.purpose)}\n" if recipe.recipe.purpose else ""
    goal = recipe.interview.fluency_goal
    goal = f"\nWhat should improve: {inert(goal)}\n" if goal else ""
    return f"# {inert(name)}\n\n{what}\n{why}{goal}"


def _render_verdict(subject: Subject) -> str:
    gate, decision = subject.made.gate, subject.made.decide
    text = "**Not judged.** No gate has compared this checkpoint with its base."
    if gate:
        text = _describe_verdict(gate, gate.alpha or subject.recipe.gate.alpha)
    if subject.anyway:
        text += f'\n\n> **Exported anyway**, against the verdict: "{inert(subject.anyway)}"'
    override = subject.recipe.recipe.override
    if override and decision and decision.outcome != "GO":
        text += f'\n\n> Trained past a {decision.outcome}: "{inert(override)}"'
    return f"## Was it worth it?\n\n{text}\n"


def _describe_verdict(gate: GateVerdict, alpha: float) -> str:
    label = f" ({gate.label})" if gate.label else ""
    counted = gate.p_adjusted is not None
    tries = f"; tries counted against this gold set: {gate.tries}" if counted else ""
    return (
        f"**{gate.outcome}{label}.** {inert(gate.sentence)}\n\n"
        f"CPT minus base {gate.estimate:+.1f} points, {percent(1 - alpha)} interval "
        f"{gate.low:+.1f} to {gate.high:+.1f}, {format_p_value(gate.p_value)}; {gate.items} items "
        f"x {gate.seeds} seeds, margin {gate.margin:g} points{tries}. The gate was registered and "
        "hashed before training."
    )


def _render_evidence(subject: Subject) -> str:
    made = subject.made
    parts = [_render_seeds(made.gate, subject.recipe.gate.seeds)] if made.gate else []
    if made.gate and made.arms:
        parts += [inert(sentence) for sentence in made.arms.sentences]
    if subject.task:
        parts.append(_render_task_rows(subject.task))
    elif made.train:
        losses = render_heldout_losses(made.train)
        parts.append(f"Loss is never the verdict; it always falls.\n\n{losses}")
    return "## Evidence\n\n" + "\n\n".join(parts) + "\n" if parts else ""


def _render_seeds(gate: GateVerdict, seeds: list[int]) -> str:
    pairs = zip(seeds, gate.base_scores, gate.cpt_scores, strict=False)
    rows = [[seed, f"{b:.1f}", f"{c:.1f}", f"{c - b:+.1f}"] for seed, b, c in pairs]
    return table(("SFT seed", "base", "CPT", "difference"), rows)


def _render_task_rows(finish: FinishArtifact) -> str:
    head = ("model", "gold, points", "domain, nats/token", "generic, nats/token")
    rows = [
        [row.name, f"{row.gold:.1f}", f"{row.domain:.4f}", f"{row.generic:.4f}"]
        for row in finish.rows
    ]
    shipped = f"This model is {finish.start}+SFT, seed {finish.seed}."
    return f"{shipped} {inert(finish.why)}\n\n{table(head, rows)}"


def _render_data(subject: Subject) -> str:
    made = subject.made
    sides = {"domain": made.scan.domain, "generic": made.scan.generic} if made.scan else {}
    rows = [_side_cells(name, side) for name, side in sides.items()]
    parts = [table(("text", "documents", "tokens", "hash of its content"), rows)]
    if subject.from_cpt and made.train:
        parts.append(_describe_training(made.train, made.pack, subject.recipe.train.seed))
    if subject.task:
        parts.append(_describe_sft(subject.recipe, subject.task, subject.made.baseline))
    return "## Data and training\n\n" + "\n\n".join(parts) + "\n"


def _side_cells(name: str, side: SideScan) -> list[str]:
    return [name, f"{side.documents:,}", f"{side.tokens:,}", code(side.fingerprint)]


def _describe_training(train: TrainArtifact, pack: PackArtifact | None, seed: int) -> str:
    mix = 100 * pack.achieved_mix if pack else 0.0
    return (
        f"CPT: {train.method}, {train.steps:,} steps, {train.tokens:,} tokens, peak rate "
        f"{format_rate(train.lr)}, compute in {train.dtype}, mix-back {mix:.2f}% generic tokens, "
        f"seed {seed}."
    )


def _describe_sft(recipe: Recipe, finish: FinishArtifact, baseline: BaselineArtifact | None) -> str:
    probe = recipe.gate.probe
    plan = baseline.plan if baseline else None
    epochs = plan.epochs if plan else probe.likely_epochs
    return (
        f"SFT: {probe.method}, {epochs:g} epochs, {probe.batch} examples a step, seed "
        f"{finish.seed}, generic share of the loss tokens {100 * finish.achieved_mix:.2f}%."
    )


def _render_limits(subject: Subject) -> str:
    gate = subject.made.gate
    items = [
        "The verdict speaks for this checkpoint and this gold set, not for the recipe, and not "
        "for other tasks.",
        f"The gate could detect {gate.mde:.1f} points and more." if gate else "",
        _describe_forgetting(subject),
        "Nothing was aligned or filtered for safety; what the corpus says, the model may repeat.",
        "The licence of the base holds; whether the corpus may be used so was for its user to "
        "check.",
        "" if hub_model(subject.recipe) else "The base is named by no hub id; its sha256 is below.",
    ]
    return "## Limits\n\n" + "\n".join(f"- {item}" for item in items if item) + "\n"


def _describe_forgetting(subject: Subject) -> str:
    """What generic text lost up to this model; empty where it was not measured."""
    found = subject.task if subject.what == "task" else subject.made.train
    if not found or found.generic_rise is None:
        return ""
    rise = f"{found.generic_rise:+.3f} nats over the base's"
    return f"Generic loss: {rise} ({found.guard}); only loss was measured, no ability."


def _render_use(proof: ReloadProof) -> str:
    return (
        "## Use\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("FOLDER")\n'
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n```\n\n'
        f"Loaded so in a fresh process, its logits differ by at most {proof.largest:.2g} from "
        f"{proof.against} ({proof.tokens} fixed tokens, largest logit "
        f"{proof.largest_logit:.3g}, tolerance {proof.tolerance:.2g}). Weights: "
        f"{proof.dtype}, {proof.parameters:,} parameters, head {proof.head}.\n\n"
        "GGUF, in a checkout of llama.cpp, which must know the architecture:\n\n```bash\n"
        "python convert_hf_to_gguf.py FOLDER --outfile FOLDER/model-f16.gguf --outtype f16\n```\n"
    )


def _render_provenance(subject: Subject) -> str:
    known = provenance(subject.run.recipe_path)
    baseline = subject.made.baseline
    rows = [[inert(k), code(v)] for k, v in known.items() if not isinstance(v, dict)]
    if baseline and baseline.registration:
        rows.append(["gate registration", code(baseline.registration)])
    rows += [["exported by", f"cpt {__version__}"], ["run", code(subject.run.id)]]
    return f"## Provenance\n\n{table(('what', 'value'), rows)}\n"
