"""The model card of an export: what, why, evidence, verdict, hashes, limits.

The front matter is built and read back by huggingface_hub's own classes. Text of strangers is
made inert; no path of this machine and no text of the corpus is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import __version__
from engine.errors import InputError
from engine.formatting import format_p_value
from engine.quality.languages import code_of
from engine.recipe.sections import Recipe
from engine.recipe.toml import provenance
from engine.report.markdown import code, plain, table
from engine.runs.run import Run
from engine.summary.findings import dig

CHECKED = "front matter built and read back by huggingface_hub, offline"
LANGUAGE_SHARE = 0.10
"""A language of the corpus is named in the front matter from this share of its bytes on."""
METRICS = {"choice": "accuracy", "exact_match": "exact_match"}
"""The hub's names of the gate's metrics; others keep their own."""


@dataclass(frozen=True)
class Subject:
    """The model that is described, and all that is known of it."""

    run: Run
    recipe: Recipe
    made: dict[str, Any]
    """Artifacts by stage."""
    what: str
    """``cpt`` or ``task``."""
    anyway: str
    proof: dict[str, Any]

    @property
    def base(self) -> str:
        """The base as a reader elsewhere knows it: its hub id, else its folder's last name."""
        return hub_model(self.recipe) or Path(self.recipe.model.id).name

    @property
    def from_cpt(self) -> bool:
        """Whether the weights have seen the corpus."""
        return self.what == "cpt" or dig(self.made, "finish", "start") == "CPT"


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
    data = front_matter(subject, name)
    parts = [
        _head(subject, name),
        _verdict(subject),
        _evidence(subject),
        _data(subject),
        _limits(subject),
        _use(subject),
        _provenance(subject),
    ]
    text = f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(part for part in parts if part)
    check(text, data.to_dict())
    return text


def front_matter(subject: Subject, name: str) -> Any:
    """ModelCardData: only what is known; a guess would be worse than a gap."""
    from huggingface_hub import ModelCardData

    recipe = subject.recipe
    sources = (recipe.corpus.path, recipe.generic.path) if subject.from_cpt else ()
    hub = [_hub_id(path.removeprefix("hub:")) for path in sources if path.startswith("hub:")]
    tags = ["cpt", "task-model" if subject.what == "task" else "base-model"]
    tags += ["continued-pretraining"] if subject.from_cpt else []
    results = _eval_results(subject) if subject.what == "task" else None
    return ModelCardData(
        base_model=hub_model(recipe),
        library_name="transformers",
        pipeline_tag="text-generation",
        language=_languages(subject) or None,
        license=_license(subject),
        datasets=sorted({one for one in hub if one}) or None,
        tags=tags,
        model_name=name if results else None,
        eval_results=results,
    )


def _languages(subject: Subject) -> list[str]:
    found = dig(subject.made, "scan", "scan", "domain", "quality", "languages") or []
    large = [one["name"] for one in found if one["share"] >= LANGUAGE_SHARE]
    return [code for name in large if (code := code_of(name))]


def _license(subject: Subject) -> str | None:
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


def _eval_results(subject: Subject) -> list[Any]:
    from huggingface_hub import EvalResult

    finish = subject.made["finish"]
    row = next(row for row in finish["rows"] if row["name"] == f"{finish['start']}+SFT")
    metric = METRICS.get(finish["metric"], finish["metric"])
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type="private",
            dataset_name="the gate's gold set",
            metric_type=metric,
            metric_name=f"{metric}, points",
            metric_value=round(row["gold"], 2),
        )
    ]


def check(text: str, meant: dict[str, Any]) -> None:
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


def _head(subject: Subject, name: str) -> str:
    recipe = subject.recipe
    base = code(subject.base)
    if subject.what == "task":
        start = "its continued pretraining" if subject.from_cpt else "the base itself"
        what = f"A task model: {base} fine-tuned from {start} by the recipe below."
    else:
        what = f"{base} after continued pretraining (CPT); a base model, not a chat model."
    why = f"\nWhy: {plain(recipe.recipe.purpose)}\n" if recipe.recipe.purpose else ""
    goal = recipe.interview.fluency_goal
    goal = f"\nWhat should improve: {plain(goal)}\n" if goal else ""
    return f"# {plain(name)}\n\n{what}\n{why}{goal}"


def _verdict(subject: Subject) -> str:
    gate = subject.made.get("gate")
    if not gate:
        said = "**Not judged.** No gate has compared this checkpoint with its base."
    else:
        label = f" ({gate['label']})" if gate["label"] else ""
        tries = gate.get("tries")
        counted = f"; tries counted against this gold set: {tries}" if tries else ""
        said = (
            f"**{gate['outcome']}{label}.** {plain(gate['sentence'])}\n\n"
            f"CPT minus base {gate['estimate']:+.1f} points, {1 - subject.recipe.gate.alpha:.0%} "
            f"interval {gate['low']:+.1f} to {gate['high']:+.1f}, "
            f"{format_p_value(gate['p_value'])}; {gate['items']} items x {gate['seeds']} seeds, "
            f"margin {gate['margin']:g} points{counted}. "
            "The gate was registered and hashed before training."
        )
    if subject.anyway:
        said += f'\n\n> **Exported anyway**, against the verdict: "{plain(subject.anyway)}"'
    decision = subject.made.get("decide") or {}
    override = subject.recipe.recipe.override
    if override and decision.get("outcome") not in (None, "GO"):
        said += f'\n\n> Trained past a {decision["outcome"]}: "{plain(override)}"'
    return f"## Was it worth it?\n\n{said}\n"


def _evidence(subject: Subject) -> str:
    parts = []
    gate, finish = subject.made.get("gate"), subject.made.get("finish")
    if gate:
        seeds = subject.recipe.gate.seeds
        pairs = zip(seeds, gate["base_scores"], gate["cpt_scores"], strict=False)
        rows = [[seed, f"{b:.1f}", f"{c:.1f}", f"{c - b:+.1f}"] for seed, b, c in pairs]
        parts.append(table(("SFT seed", "base", "CPT", "difference"), rows))
        parts += [plain(said) for said in dig(subject.made, "arms", "sentences") or []]
    if subject.what == "task" and finish:
        rows = [
            [r["name"], f"{r['gold']:.1f}", f"{r['domain']:.4f}", f"{r['generic']:.4f}"]
            for r in finish["rows"]
        ]
        head = ("model", "gold, points", "domain, nats/token", "generic, nats/token")
        shipped = f"This model is {finish['start']}+SFT, seed {finish['seed']}."
        parts.append(f"{shipped} {plain(finish['why'])}\n\n{table(head, rows)}")
    elif train := subject.made.get("train"):
        rows = [
            [side, f"{train[f'{side}_before']:.4f}", f"{train[f'{side}_after']:.4f}"]
            for side in ("domain", "generic")
        ]
        losses = table(("held-out loss, nats/token", "before", "after"), rows)
        parts.append(f"Loss is never the verdict; it always falls.\n\n{losses}")
    return "## Evidence\n\n" + "\n\n".join(parts) + "\n" if parts else ""


def _data(subject: Subject) -> str:
    train, pack = subject.made.get("train") or {}, subject.made.get("pack") or {}
    scan = dig(subject.made, "scan", "scan") or {}
    rows = [
        [name, f"{side['documents']:,}", f"{side['tokens']:,}", code(side.get("fingerprint", ""))]
        for name in ("domain", "generic")
        if (side := scan.get(name))
    ]
    text = table(("text", "documents", "tokens", "hash of its content"), rows)
    if subject.from_cpt and train:
        text += (
            f"\n\nCPT: {train['method']}, {train['steps']:,} steps, {train['tokens']:,} tokens, "
            f"peak rate {train['lr']:g}, compute in {train['dtype']}, mix-back "
            f"{100 * pack.get('achieved_mix', 0):.2f}% generic tokens, seed "
            f"{subject.recipe.train.seed}."
        )
    if subject.what == "task":
        probe, finish = subject.recipe.gate.probe, subject.made["finish"]
        text += (
            f"\n\nSFT: {probe.method}, {probe.epochs:g} epochs, {probe.batch} examples a step, "
            f"seed {finish['seed']}, generic share of the loss tokens "
            f"{100 * finish['achieved_mix']:.2f}%."
        )
    return f"## Data and training\n\n{text}\n"


def _limits(subject: Subject) -> str:
    gate = subject.made.get("gate") or {}
    items = [
        "The verdict speaks for this checkpoint and this gold set, not for the recipe, and not "
        "for other tasks.",
        f"The gate could detect {gate['mde']:.1f} points and more." if gate else "",
        _forgotten(subject),
        "Nothing was aligned or filtered for safety; what the corpus says, the model may repeat.",
        "The licence of the base holds; whether the corpus may be used so was for its user to "
        "check.",
        "" if hub_model(subject.recipe) else "The base is named by no hub id; its sha256 is below.",
    ]
    return "## Limits\n\n" + "\n".join(f"- {item}" for item in items if item) + "\n"


def _forgotten(subject: Subject) -> str:
    """What generic text lost up to this model; empty where it was not measured."""
    found = subject.made.get("finish" if subject.what == "task" else "train") or {}
    if not found.get("guard"):
        return ""
    rise = f"{found['generic_rise']:+.3f} nats over the base's"
    return f"Generic loss: {rise} ({found['guard']}); only loss was measured, no ability."


def _use(subject: Subject) -> str:
    found = subject.proof
    return (
        "## Use\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("FOLDER")\n'
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n```\n\n'
        f"Loaded so in a fresh process, its logits differ by at most {found['largest']:.2g} from "
        f"{found['against']} ({found['tokens']} fixed tokens, largest logit "
        f"{found['largest_logit']:.3g}, tolerance {found['tolerance']:.2g}). Weights: "
        f"{found['dtype']}, {found['parameters']:,} parameters, head {found['head']}.\n\n"
        "GGUF, in a checkout of llama.cpp, which must know the architecture:\n\n```bash\n"
        "python convert_hf_to_gguf.py FOLDER --outfile FOLDER/model-f16.gguf --outtype f16\n```\n"
    )


def _provenance(subject: Subject) -> str:
    known = provenance(subject.run.recipe_path)
    registered = dig(subject.made, "baseline", "registration")
    rows = [[plain(k), code(v)] for k, v in known.items() if not isinstance(v, dict)]
    rows += [["gate registration", code(registered)]] if registered else []
    rows += [["exported by", f"cpt {__version__}"], ["run", code(subject.run.id)]]
    return f"## Provenance\n\n{table(('what', 'value'), rows)}\n"
