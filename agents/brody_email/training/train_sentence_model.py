"""Train the sentence model, print its cross-validated quality, write its weights.

Run with `agents` on the path and scikit-learn (a development dependency) installed:

    PYTHONPATH=agents python -m brody_email.training.train_sentence_model path/to/train.txt

The input holds one `Yes|No<TAB>sentence` a line. Same input, same output, byte for byte. What is
cross-validated is the very object that is shipped: pruned, rounded, with its own threshold.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline

from brody_email.sentence_model import WEIGHTS, SentenceModel, features, vector

SEED = 20240229
FOLDS = 5
THRESHOLD_FOLDS = 3
THRESHOLDS = tuple(percent / 100 for percent in range(30, 61))
# A feature seen in fewer sentences is noise; the bound on whole numbers, unlike one on weights,
# prunes the same features on every platform.
MIN_SENTENCES = 3
INVERSE_REGULARISATION = 4.0
DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled sentence, with its features computed once."""

    sentence: str
    names: tuple[str, ...]
    actionable: bool


@dataclass(frozen=True, slots=True)
class Fold:
    """Quality on one fifth of the sentences, trained on the others."""

    precision: float
    recall: float
    f1: float


def read_examples(path: Path) -> list[Example]:
    """Read `Yes|No<TAB>sentence` lines; raise `ValueError` for a line of another form."""
    lines = path.read_text("utf-8").split("\n")
    return [_example(line) for line in lines if line.strip()]


def _example(line: str) -> Example:
    label, tab, sentence = line.partition("\t")
    if not tab or label not in {"Yes", "No"}:
        raise ValueError(f"expected 'Yes' or 'No', a tab and a sentence, not {line[:80]!r}")
    return Example(sentence, tuple(features(sentence)), label == "Yes")


def train(examples: Sequence[Example]) -> SentenceModel:
    """Fit the weights on all examples, and the threshold on scores for sentences left out of a fit."""
    model, _ = fit(examples, threshold=best_threshold(examples))
    return model


def fit(examples: Sequence[Example], threshold: float) -> tuple[SentenceModel, Pipeline]:
    """Fit a regression on the run-time vectors; return it as rounded plain data and as it was fitted."""
    idf = inverse_document_frequencies(examples)
    # Converge far beyond the default, so that rounding hides where the solver stopped.
    regression = LogisticRegression(C=INVERSE_REGULARISATION, tol=1e-7, max_iter=1000, random_state=SEED)
    columns = DictVectorizer()
    fitted = make_pipeline(columns, regression)
    fitted.fit([vector(example.names, idf) for example in examples], [e.actionable for e in examples])
    names, coefficients = columns.get_feature_names_out(), regression.coef_[0]
    weights = {str(name): round(float(w), DECIMALS) for name, w in zip(names, coefficients, strict=True)}
    bias = round(float(regression.intercept_[0]), DECIMALS)
    return SentenceModel(bias, threshold, idf, weights), fitted


def inverse_document_frequencies(examples: Sequence[Example]) -> dict[str, float]:
    """Return 1 + ln((1 + n) / (1 + df)) of the features that are kept, in the order of their names."""
    seen = Counter(name for example in examples for name in set(example.names))
    total = 1 + len(examples)
    kept = sorted(name for name, count in seen.items() if count >= MIN_SENTENCES)
    return {name: round(1 + math.log(total / (1 + seen[name])), DECIMALS) for name in kept}


def best_threshold(examples: Sequence[Example]) -> float:
    """Choose the threshold with the best F1 on sentences that their model has not seen."""
    scored = [
        (model.score(example.sentence), example.actionable)
        for training, held_out in splits(examples, THRESHOLD_FOLDS)
        for model in [fit(training, threshold=0.5)[0]]
        for example in held_out
    ]
    return max(THRESHOLDS, key=lambda threshold: _f1(scored, threshold))


def _f1(scored: Sequence[tuple[float, bool]], threshold: float) -> float:
    hits = sum(actionable for score, actionable in scored if score >= threshold)
    called = sum(score >= threshold for score, _ in scored)
    actual = sum(actionable for _, actionable in scored)
    return 2 * hits / (called + actual)


def cross_validate(examples: Sequence[Example]) -> list[Fold]:
    """Train on four fifths and measure on the last, in turn; the threshold too comes from the four."""
    return [measure(train(training), held_out) for training, held_out in splits(examples, FOLDS)]


def splits(examples: Sequence[Example], folds: int) -> Iterator[tuple[list[Example], list[Example]]]:
    """Yield (training, held out) pairs with the same share of each label."""
    stratified = StratifiedKFold(folds, shuffle=True, random_state=SEED)
    for training, held_out in stratified.split(examples, [example.actionable for example in examples]):
        yield [examples[i] for i in training], [examples[i] for i in held_out]


def measure(model: SentenceModel, examples: Sequence[Example]) -> Fold:
    """Return precision, recall and F1 of the answers of the run-time scorer."""
    answers = [model.is_actionable(example.sentence) for example in examples]
    actual = [example.actionable for example in examples]
    precision, recall, f1, _ = precision_recall_fscore_support(actual, answers, average="binary")
    return Fold(float(precision), float(recall), float(f1))


def as_json(model: SentenceModel) -> str:
    """Write the model as `SentenceModel.from_json` reads it, one feature a line, sorted."""
    lines = (
        f"{json.dumps(name, ensure_ascii=False)}:[{idf},{model.weights[name]}]"
        for name, idf in sorted(model.idf.items())
    )
    head = f'{{"bias":{model.bias},"threshold":{model.threshold},"features":{{\n'
    return head + ",\n".join(lines) + "\n}}\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("examples", type=Path, help="file with one 'Yes|No<TAB>sentence' a line")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write the weights")
    arguments = parser.parse_args()
    examples = read_examples(arguments.examples)
    _report(cross_validate(examples))
    model = train(examples)
    arguments.output.write_text(as_json(model), "utf-8", newline="\n")
    print(f"{arguments.output}: {len(model.weights)} features, threshold {model.threshold}")


def _report(folds: Sequence[Fold]) -> None:
    for number, fold in enumerate(folds, 1):
        print(f"fold {number}  precision {fold.precision:.3f}  recall {fold.recall:.3f}  F1 {fold.f1:.3f}")
    print(f"mean F1 {sum(fold.f1 for fold in folds) / len(folds):.4f}")


if __name__ == "__main__":
    main()
