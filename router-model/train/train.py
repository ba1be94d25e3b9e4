"""Fits one linear head a model on prepared rows, calibrates it on scores of rows that it was not fitted on, writes model.npz.

    python train.py --work work --sets mmlu gsm8k mtbench multimodel easy --name lexical-v1
"""
import argparse
import json
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import minimize, minimize_scalar
from sklearn.linear_model import Ridge

HERE = Path(__file__).resolve().parent
BITS, HAND, SEED, FOLDS, STEPS = 17, 16, 7, 5, 1000
HAND_ALPHA, PRIOR, MOST_FLOOR, MOST_ROUNDS = 300.0, 10, 0.5, 1000
# Ridge and smoothing of what all models of a row have in common, and of what sets one apart.
COMMON, APART = (2.0, 0.5), (0.7, 0.8)
# Ridge of the scores for kinds of tasks, the weight of the features made by hand there, and what may be a kind.
KIND_RIDGE, KIND_HAND, KIND_ROWS, MOST_KINDS = 0.5, 0.05, 40, 32
# Where a prompt tells how many choices it has, and the only features made by hand whose meaning lasts from one kind of prompt
# without choices to another: bytes and words. A pair counts them double there and words a fifth: predicted from other groups,
# the slope within a group is 1.5 for these and 0.1 to 0.4 for words, against 0.7 and 0.65 where there are choices.
CHOICES, LENGTHS, WITHOUT_CHOICES = 12, [0, 1], (2.0, 0.2)

# A pair's logits are drawn to their mean and lowered by so much: rows of subjects held out have a slope of 0.76 to 0.89 of that which
# known ones have, and the weak model does 0.02 worse there than predicted. This goes a part of the way, for both are to come.
CAUTION = (0.95, -0.1)


class Rows:
    """Prepared rows: words as a sparse matrix, features made by hand, a column of scores for each model, and where each comes
    from: a group, whose labels are smoothed together unless it is alone in its file, and a kind of task, which the model is to
    recognise. A prompt without choices keeps its words in buckets of its own, half the table away."""

    def __init__(self, words, hand, scores, models, groups, alone, kinds, keys):
        self.words, self.hand, self.scores = words, hand, scores
        self.models, self.groups, self.alone, self.kinds, self.keys = list(models), groups, alone, kinds, keys

    def __len__(self):
        return len(self.hand)

    def pick(self, which):
        return Rows(self.words[which], self.hand[which], self.scores[which], self.models, self.groups[which],
                    self.alone[which], self.kinds[which], self.keys[which])

    def column(self, model):
        return self.scores[:, self.models.index(model)]

    @property
    def open(self):
        """Which rows have no choices."""
        return self.hand[:, CHOICES] == 0


def kinds_of(name, groups):
    """Groups that are few and large are kinds of tasks; many small ones, like MMLU's subjects, are one kind together."""
    few = len(groups) >= KIND_ROWS * len(np.unique(groups)) and len(np.unique(groups)) <= MOST_KINDS
    return groups if few and all(groups) else np.full(len(groups), name)


def load(work, name):
    kept = np.load(Path(work) / f"{name}.npz")
    shape = (len(kept["starts"]) - 1, 1 << BITS)
    without_choices = np.repeat(kept["hand"][:, CHOICES] == 0, np.diff(kept["starts"]))
    buckets = kept["buckets"].astype(np.int32) ^ (without_choices.astype(np.int32) << (BITS - 1))
    words = sparse.csr_matrix((kept["weights"], buckets, kept["starts"]), shape=shape)
    groups = kept["groups"]
    alone = np.full(len(groups), len(np.unique(groups)) == 1)
    return Rows(words, kept["hand"].astype(np.float64), kept["scores"], kept["models"], groups, alone,
                kinds_of(name, groups), kept["keys"])


def join(sets):
    models = sorted({model for rows in sets for model in rows.models})
    scores = [np.column_stack([rows.column(m) if m in rows.models else np.full(len(rows), np.nan) for m in models])
              for rows in sets]
    together = lambda part: np.concatenate([getattr(rows, part) for rows in sets])
    return Rows(sparse.vstack([rows.words for rows in sets]).tocsr(), together("hand"), np.vstack(scores), models,
                together("groups"), together("alone"), together("kinds"), together("keys"))


def without(rows, others):
    """Rows whose question is in none of the others: no leak from training into a test."""
    return rows.pick(~np.isin(rows.keys, np.concatenate([other.keys for other in others])))


def sigmoid(logit):
    return 1 / (1 + np.exp(-logit))


def softmax(logits):
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


class Heads:
    """Three things tell how well a model answers, each linear in the words: how hard a prompt is for all models, what sets this
    one apart, and how well it does at the kinds of tasks that the prompt looks like. Their sum goes through a sigmoid, lifted
    by the floor. A prompt's words are first multiplied by how telling each is, and brought to length 1. A prompt without choices
    has weights of its own for the features made by hand, and what its words say counts only so far as `steady` tells."""

    def __init__(self, models, kinds):
        self.models, self.kinds = list(models), list(kinds)
        heads, buckets = len(self.models), 1 << BITS
        self.telling = np.ones(buckets)
        self.common, self.apart = np.zeros((buckets, heads)), np.zeros((buckets, heads))
        # Weights with choices, and without.
        self.hand, self.hand_bias = np.zeros((2, HAND)), np.zeros(2)
        # How much of the hand's and of the words' part stays without choices, for each head, and around which means of words.
        self.steady, self.common_mean, self.apart_mean = np.ones((2, heads)), np.zeros(heads), np.zeros(heads)
        self.common_bias, self.apart_bias = np.zeros(heads), np.zeros(heads)
        self.kind_table, self.kind_hand = np.zeros((buckets, len(self.kinds))), np.zeros((HAND, len(self.kinds)))
        self.kind_bias, self.warmth = np.zeros(len(self.kinds)), 1.0
        self.kind_means = np.zeros((len(self.kinds), heads))
        # How much each of the three counts, a column for each head.
        self.trust = np.ones((3, heads))
        self.shift, self.floor = np.zeros(heads), np.zeros(heads)

    def inputs(self, words):
        words = (words @ sparse.diags(self.telling)).tocsr()
        lengths = np.sqrt(np.asarray(words.multiply(words).sum(1)).ravel())
        return (sparse.diags(1 / np.maximum(lengths, 1)) @ words).tocsr()

    def kind_scores(self, rows):
        return self.inputs(rows.words) @ self.kind_table + rows.hand @ self.kind_hand + self.kind_bias

    def parts(self, rows, kind_scores=None):
        """What the three say of each row and head. How well a model does at a kind is told as the distance to its mean."""
        words, without = self.inputs(rows.words), rows.open
        by_hand = np.where(without, rows.hand @ self.hand[1] + self.hand_bias[1], rows.hand @ self.hand[0] + self.hand_bias[0])
        held = lambda said, mean: np.where(without[:, None], mean + self.steady[1] * (said - mean), said)
        common = held(words @ self.common, self.common_mean) + self.common_bias
        common += by_hand[:, None] * np.where(without[:, None], self.steady[0], 1)
        apart = held(words @ self.apart, self.apart_mean) + self.apart_bias
        if not self.kinds:
            return np.stack([common, apart, np.zeros_like(common)])
        scores = self.kind_scores(rows) if kind_scores is None else kind_scores
        return np.stack([common, apart, softmax(self.warmth * scores) @ self.kind_means])

    def quality(self, rows):
        return self.lifted(self.parts(rows))

    def lifted(self, parts):
        logit = np.einsum("prh,ph->rh", parts, self.trust) + self.shift
        return self.floor + (1 - self.floor) * sigmoid(logit)


def telling(words):
    """How telling each bucket is, in whole steps from 1 to 127: the root of the inverse frequency, for the full one drowns what
    whole subjects have in common."""
    frequency = np.bincount(words.indices, minlength=words.shape[1])
    found = np.sqrt(1 + np.log((1 + words.shape[0]) / (1 + frequency)))
    return np.maximum(1, np.rint(127 * found / found.max()))


def within(values, groups):
    """What is left of a column or columns when each group's mean is taken off."""
    unique, which = np.unique(groups, return_inverse=True)
    columns = values.reshape(len(values), -1)
    means = np.column_stack([np.bincount(which, column) for column in columns.T]) / np.bincount(which)[:, None]
    return (columns - means[which]).reshape(values.shape)


def smoothed(labels, groups, alone, share):
    """Labels drawn to the mean of their group, which is drawn to the mean of all: single answers are mostly noise. A file of
    one group tells of no other, and its labels drawn to one mean would tell nothing within it."""
    share = np.where(alone, 0, share)
    unique, which = np.unique(groups, return_inverse=True)
    means = (np.bincount(which, labels) + PRIOR * labels.mean()) / (np.bincount(which) + PRIOR)
    return (1 - share) * labels + share * means[which]


def words_of(words, columns, rows, how):
    alpha, share = how
    return ridge(words, np.column_stack([smoothed(labels, rows.groups, rows.alone, share) for labels in columns.T]), alpha)


def ridge(inputs, targets, alpha, tolerance=1e-4):
    """Least squares of all targets at once by conjugate gradients; much quicker than one after the other."""
    mean, middle = np.asarray(inputs.mean(0)).ravel(), targets.mean(0)
    turned = inputs.T.tocsr()
    product = lambda many: turned @ (inputs @ many) - len(targets) * np.outer(mean, mean @ many) + alpha * many
    rest = turned @ (targets - middle) - np.outer(mean, (targets - middle).sum(0))
    found, way = np.zeros_like(rest), rest.copy()
    length = (rest**2).sum(0)
    goal = tolerance**2 * length
    for _ in range(MOST_ROUNDS):
        if (length <= goal).all():
            break
        moved = product(way)
        step = length / np.maximum((way * moved).sum(0), 1e-30)
        found, rest = found + step * way, rest - step * moved
        before, length = length, (rest**2).sum(0)
        way = rest + length / np.maximum(before, 1e-30) * way
    return found, middle - mean @ found


def families(rows, models):
    """Heads that were labelled on the same rows, and which rows those are."""
    found = {}
    for at, model in enumerate(models):
        there = ~np.isnan(rows.column(model))
        found.setdefault(there.tobytes(), ([], there))[0].append(at)
    return found.values()


def fit(rows, models=None):
    """The features made by hand get one weight for all heads, of what they tell within each group: what holds in every
    group holds in a new one. The words explain the rest: what all models of a row have in common, and what sets each apart."""
    heads = Heads(models or rows.models, kinds_in(rows, models))
    mean, deviation = rows.hand.mean(0), rows.hand.std(0) + 1e-6
    hand = (rows.hand - mean) / deviation
    common = np.nanmean(rows.scores, 1)
    rest = common - by_hand(heads, rows, common)
    heads.telling = telling(rows.words)
    words = heads.inputs(rows.words)
    for family, there in families(rows, heads.models):
        some, of_some = words[there], rows.pick(there)
        labels = np.column_stack([of_some.column(heads.models[at]) for at in family])
        table, bias = words_of(some, rest[there][:, None], of_some, COMMON)
        heads.common[:, family], heads.common_bias[family] = table, bias
        heads.apart[:, family], heads.apart_bias[family] = words_of(some, labels - common[there][:, None], of_some, APART)
        without = of_some.open
        if len(family) == 2 and without.any() and not without.all():
            heads.steady[:, family] = np.array(WITHOUT_CHOICES)[:, None]
            heads.common_mean[family] = (some[without] @ table).mean(0)
            heads.apart_mean[family] = (some[without] @ heads.apart[:, family]).mean(0)
    if heads.kinds:
        recognise(heads, rows, words, hand * KIND_HAND, mean, deviation / KIND_HAND)
    return heads


def by_hand(heads, rows, common):
    """Fits the weights of the features made by hand, those of rows without choices on such rows alone, and tells their part in
    each row."""
    parts, everywhere = np.zeros(len(rows)), np.full(len(rows), True)
    for form, (those, features) in enumerate([(everywhere, list(range(HAND))), (rows.open, LENGTHS)]):
        if not those.any():
            continue
        hand, groups = rows.hand[those][:, features], rows.groups[those]
        mean, deviation = hand.mean(0), hand.std(0) + 1e-6
        inputs = (hand - mean) / deviation
        weights = Ridge(HAND_ALPHA, fit_intercept=False).fit(within(inputs, groups), within(common[those], groups)).coef_
        heads.hand[form, features] = weights / deviation
        heads.hand_bias[form], parts[those] = -mean @ (weights / deviation), inputs @ weights
    return parts


def kinds_in(rows, models=None):
    """Those that tell models apart: a pair goes without them, for the order of its prompts gets worse on groups held out."""
    found = np.unique(rows.kinds)
    return found if len(found) > 1 and len(models or rows.models) > 2 else []


def recognise(heads, rows, words, hand, mean, deviation):
    """A least-squares score for each kind of task, and how well each model does there, drawn to its mean over all kinds: what a
    kind tells of a model that never met it is nothing."""
    which = np.searchsorted(heads.kinds, rows.kinds)
    both = sparse.hstack([words, sparse.csr_matrix(hand)]).tocsr()
    table, bias = ridge(both, np.eye(len(heads.kinds))[which], KIND_RIDGE, 1e-3)
    heads.kind_table, heads.kind_hand = table[:-HAND], table[-HAND:] / deviation[:, None]
    heads.kind_bias = bias - mean @ heads.kind_hand
    for at, model in enumerate(heads.models):
        labels = rows.column(model)
        there = ~np.isnan(labels)
        many = np.bincount(which[there], minlength=len(heads.kinds))
        above = np.bincount(which[there], labels[there] - labels[there].mean(), minlength=len(heads.kinds))
        heads.kind_means[:, at] = above / (many + PRIOR)


def warmth_of(scores, which):
    """By what scores of kinds are to be multiplied to be probabilities."""
    rows = np.arange(len(scores))
    loss = lambda log: -np.mean(np.log(softmax(np.exp(log) * scores)[rows, which] + 1e-12))
    return float(np.exp(minimize_scalar(loss, bounds=(-2, 6), method="bounded").x))


def calibrate(parts, labels):
    """Trust in each part, the same for all heads here, and shift and floor of each head: of least log loss for labels between
    0 and 1. The floor is what guessing gets. `parts` are [parts, rows, heads], `labels` [rows, heads]."""
    many, heads = len(parts), labels.shape[1]

    def loss(found):
        trust, shift, level = found[:many], found[many : many + heads], sigmoid(found[many + heads :])
        floor, likely = MOST_FLOOR * level, sigmoid(np.tensordot(trust, parts, 1) + shift)
        quality = np.clip(floor + (1 - floor) * likely, 1e-9, 1 - 1e-9)
        of_quality = ((1 - labels) / (1 - quality) - labels / quality) / labels.size
        of_logit = of_quality * (1 - floor) * likely * (1 - likely)
        of_level = (of_quality * (1 - likely)).sum(0) * floor * (1 - level)
        cost = -np.mean(labels * np.log(quality) + (1 - labels) * np.log(1 - quality))
        return cost, np.concatenate([(parts * of_logit).sum((1, 2)), of_logit.sum(0), of_level])

    begin = np.concatenate([np.full(many, 4.0), np.full(2 * heads, -2.0)])
    found = minimize(loss, begin, method="BFGS", jac=True).x
    return found[:many], found[many : many + heads], MOST_FLOOR * sigmoid(found[many + heads :])


def out_of_fold(rows, folds, models=None):
    """The parts of each row by heads that did not see its fold, and the warmth of the kinds' scores there."""
    fitted = {fold: fit(rows.pick(folds != fold), models) for fold in np.unique(folds)}
    kinds = kinds_in(rows, models)
    if any(list(heads.kinds) != list(kinds) for heads in fitted.values()):
        raise SystemExit("a kind of task has too few rows to be in every fold: leave it out, or give it the name of another")
    warmth, scores = 1.0, {fold: None for fold in fitted}
    if len(kinds):
        which = np.searchsorted(kinds, rows.kinds)
        scores = {fold: heads.kind_scores(rows.pick(folds == fold)) for fold, heads in fitted.items()}
        warmth = warmth_of(np.concatenate(list(scores.values())), np.concatenate([which[folds == fold] for fold in scores]))
    parts = np.zeros((3, len(rows), len(models or rows.models)))
    for fold, heads in fitted.items():
        heads.warmth = warmth
        parts[:, folds == fold] = heads.parts(rows.pick(folds == fold), scores[fold])
    return parts, warmth


def fit_calibrated(rows, folds, models=None):
    """Heads fitted on all rows, and calibrated on scores that each row got from heads that did not see its fold."""
    heads = fit(rows, models)
    parts, heads.warmth = out_of_fold(rows, folds, models)
    for family, there in families(rows, heads.models):
        labels = np.column_stack([rows.column(heads.models[at])[there] for at in family])
        told = parts[:, there][:, :, family]
        if len(family) > 2:
            trust, heads.shift[family], heads.floor[family] = calibrate(told, labels)
            heads.trust[:, family] = trust[:, None]
            continue
        for place, at in enumerate(family):
            (slope,), heads.shift[[at]], heads.floor[[at]] = calibrate(told[:2, :, [place]].sum(0)[None], labels[:, [place]])
            drawn, lowered = CAUTION
            heads.shift[at] += (1 - drawn) * slope * told[:2, :, place].sum(0).mean() + lowered
            heads.trust[:, at] = drawn * slope, drawn * slope, 0
    return heads, heads.lifted(parts)


def random_folds(rows, seed=SEED):
    """The same question is always in the same fold."""
    unique, which = np.unique(rows.keys, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(unique))[which] % FOLDS


def win(quality, models):
    strong, weak = (models.index(name) if name in models else other for name, other in (("strong", -1), ("weak", 0)))
    return (1 + quality[:, strong] - quality[:, weak]) / 2


def vars_of(heads):
    """Everything that export.py needs: what the words say is one table, for the parts differ in how far they are trusted only.
    Without choices there are another matrix and bias for the features made by hand, and the table's sums count less."""
    by_hand, words = heads.steady
    means = heads.common_mean * heads.trust[0] + heads.apart_mean * heads.trust[1]
    bias = heads.common_bias * heads.trust[0] + heads.apart_bias * heads.trust[1] + heads.shift
    return {
        "table": (heads.common * heads.trust[0] + heads.apart * heads.trust[1]).astype(np.float32), "telling": heads.telling,
        "hand": np.outer(heads.hand[0], heads.trust[0]), "floor": heads.floor, "bias": bias + heads.hand_bias[0] * heads.trust[0],
        "open_hand": np.outer(heads.hand[1], heads.trust[0] * by_hand), "open_words": words,
        "open_bias": bias + heads.hand_bias[1] * heads.trust[0] * by_hand + (1 - words) * means,
        "kind_table": (heads.kind_table * heads.warmth).astype(np.float32), "kind_hand": heads.kind_hand * heads.warmth,
        "kind_bias": heads.kind_bias * heads.warmth, "kind_means": heads.kind_means * heads.trust[2],
    }


def balanced(wins, without):
    """Quantiles of win rates, in which prompts without choices count as much together as those with choices: there are fewer of
    them in the rows, but more where a gateway stands, and their win rates are higher."""
    counts = np.maximum(np.bincount(without.astype(int), minlength=2), 1)
    return np.quantile(wins, np.linspace(0, 1, STEPS + 1), weights=1 / counts[without.astype(int)], method="inverted_cdf")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    arguments.add_argument("--sets", nargs="+", default=["mmlu", "gsm8k", "mtbench", "multimodel", "easy"])
    arguments.add_argument("--name", default="lexical-v1")
    options = arguments.parse_args()
    build(options.work, options.sets, options.name)


def build(work, sets, name):
    """Writes model.npz; answers the rows and what heads that did not see each say of it."""
    rows = join([load(work, name) for name in sets])
    heads, quality = fit_calibrated(rows, random_folds(rows))
    pair = "weak" in heads.models and "strong" in heads.models
    measured = ~np.isnan(rows.column("strong")) if pair else np.full(len(rows), True)
    wins, without = win(quality[measured], heads.models), rows.open[measured]
    about = {
        "name": name, "heads": heads.models, "kinds": [str(kind) for kind in heads.kinds], "seed": SEED,
        "common": COMMON, "apart": APART, "rows": len(rows),
        "data": {name: str(np.load(work / f"{name}.npz")["sha256"]) for name in sets},
        "quantiles": [round(float(at), 5) for at in balanced(wins, without)],
    }
    np.savez(work / "model.npz", about=json.dumps(about), **vars_of(heads))
    print(f"{name}: {len(rows)} rows, {len(heads.models)} heads: {', '.join(heads.models)}")
    return rows, quality


if __name__ == "__main__":
    main()
