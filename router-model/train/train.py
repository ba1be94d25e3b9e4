"""Fits one linear head a model on prepared rows, calibrates it on scores of rows that it was not fitted on, writes model.npz.

    python train.py --work work --sets mmlu gsm8k mtbench multimodel easy --name lexical-v1
"""
import argparse
import json
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

HERE = Path(__file__).resolve().parent
BITS, HAND, SEED, FOLDS, STEPS = 17, 16, 7, 5, 1000
HAND_ALPHA, PRIOR, MOST_FLOOR = 300.0, 10, 0.5
# Ridge and smoothing of what all models of a row have in common, and of what sets one apart.
COMMON, APART = (2.0, 0.5), (0.7, 0.8)


class Rows:
    """Prepared rows: words as a sparse matrix, features made by hand, a column of scores for each model."""

    def __init__(self, words, hand, scores, models, groups, keys):
        self.words, self.hand, self.scores = words, hand, scores
        self.models, self.groups, self.keys = list(models), groups, keys

    def __len__(self):
        return len(self.hand)

    def pick(self, which):
        return Rows(self.words[which], self.hand[which], self.scores[which], self.models, self.groups[which], self.keys[which])

    def column(self, model):
        return self.scores[:, self.models.index(model)]


def load(work, name):
    kept = np.load(Path(work) / f"{name}.npz")
    shape = (len(kept["starts"]) - 1, 1 << BITS)
    words = sparse.csr_matrix((kept["weights"], kept["buckets"].astype(np.int32), kept["starts"]), shape=shape)
    return Rows(words, kept["hand"].astype(np.float64), kept["scores"], kept["models"], kept["groups"], kept["keys"])


def join(sets):
    models = sorted({model for rows in sets for model in rows.models})
    scores = [np.column_stack([rows.column(m) if m in rows.models else np.full(len(rows), np.nan) for m in models])
              for rows in sets]
    return Rows(sparse.vstack([rows.words for rows in sets]).tocsr(), np.vstack([rows.hand for rows in sets]),
                np.vstack(scores), models, np.concatenate([rows.groups for rows in sets]),
                np.concatenate([rows.keys for rows in sets]))


def without(rows, others):
    """Rows whose question is in none of the others: no leak from training into a test."""
    return rows.pick(~np.isin(rows.keys, np.concatenate([other.keys for other in others])))


class Heads:
    """Linear scores: words @ table + hand @ matrix + bias, then a sigmoid of a line, lifted by the floor.

    A prompt's words are first multiplied by how telling each is, and brought to length 1."""

    def __init__(self, models):
        self.models = list(models)
        self.telling = np.ones(1 << BITS)
        self.table = np.zeros((1 << BITS, len(self.models)))
        self.hand = np.zeros((HAND, len(self.models)))
        self.bias = np.zeros(len(self.models))
        self.slope, self.shift = np.full(len(self.models), 4.0), np.full(len(self.models), -2.0)
        self.floor = np.zeros(len(self.models))

    def inputs(self, words):
        words = (words @ sparse.diags(self.telling)).tocsr()
        lengths = np.sqrt(np.asarray(words.multiply(words).sum(1)).ravel())
        return (sparse.diags(1 / np.maximum(lengths, 1)) @ words).tocsr()

    def raw(self, rows):
        return self.inputs(rows.words) @ self.table + rows.hand @ self.hand + self.bias

    def quality(self, rows):
        return self.lifted(self.raw(rows))

    def lifted(self, raw):
        return self.floor + (1 - self.floor) / (1 + np.exp(-(raw * self.slope + self.shift)))


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


def smoothed(labels, groups, share):
    """Labels drawn to the mean of their group, which is drawn to the mean of all: single answers are mostly noise."""
    unique, which = np.unique(groups, return_inverse=True)
    means = (np.bincount(which, labels) + PRIOR * labels.mean()) / (np.bincount(which) + PRIOR)
    return (1 - share) * labels + share * means[which]


def words_of(words, labels, groups, how):
    ridge, share = how
    fitted = Ridge(ridge, solver="sparse_cg", tol=1e-4).fit(words, smoothed(labels, groups, share))
    return fitted.coef_, fitted.intercept_


def fit(rows, models=None):
    """The features made by hand get one weight for all heads, of what they tell within each group: what holds in every
    group holds in a new one. The words explain the rest: what all models of a row have in common, and what sets each apart."""
    heads = Heads(models or rows.models)
    mean, deviation = rows.hand.mean(0), rows.hand.std(0) + 1e-6
    hand = (rows.hand - mean) / deviation
    common = np.nanmean(rows.scores, 1)
    shared = Ridge(HAND_ALPHA, fit_intercept=False).fit(within(hand, rows.groups), within(common, rows.groups)).coef_
    rest = common - hand @ shared
    heads.telling = telling(rows.words)
    words = heads.inputs(rows.words)
    for at, model in enumerate(heads.models):
        labels = rows.column(model)
        there = ~np.isnan(labels)
        some, groups = words[there], rows.groups[there]
        of_all, bias_of_all = words_of(some, rest[there], groups, COMMON)
        of_one, bias_of_one = words_of(some, (labels - common)[there], groups, APART)
        heads.table[:, at] = of_all + of_one
        heads.hand[:, at] = shared / deviation
        heads.bias[at] = bias_of_all + bias_of_one - mean @ heads.hand[:, at]
    return heads


def calibrate(raw, labels):
    """Slope, shift and floor of least log loss for labels between 0 and 1. The floor is what guessing gets."""
    def loss(line):
        floor = MOST_FLOOR / (1 + np.exp(-line[2]))
        quality = floor + (1 - floor) / (1 + np.exp(-(line[0] * raw + line[1])))
        return -np.mean(labels * np.log(quality + 1e-9) + (1 - labels) * np.log(1 - quality + 1e-9))
    slope, shift, floor = minimize(loss, [6.0, -3.0, -2.0], method="BFGS").x
    return slope, shift, MOST_FLOOR / (1 + np.exp(-floor))


def out_of_fold(rows, folds, models=None):
    raw = np.full((len(rows), len(models or rows.models)), np.nan)
    for fold in np.unique(folds):
        raw[folds == fold] = fit(rows.pick(folds != fold), models).raw(rows.pick(folds == fold))
    return raw


def fit_calibrated(rows, folds, models=None):
    """Heads fitted on all rows, and calibrated on scores that each row got from heads that did not see its fold."""
    heads = fit(rows, models)
    raw = out_of_fold(rows, folds, models)
    for at, model in enumerate(heads.models):
        labels = rows.column(model)
        there = ~np.isnan(labels)
        heads.slope[at], heads.shift[at], heads.floor[at] = calibrate(raw[there, at], labels[there])
    return heads, heads.lifted(raw)


def random_folds(rows, seed=SEED):
    """The same question is always in the same fold."""
    unique, which = np.unique(rows.keys, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(unique))[which] % FOLDS


def win(quality, models):
    strong, weak = (models.index(name) if name in models else other for name, other in (("strong", -1), ("weak", 0)))
    return (1 + quality[:, strong] - quality[:, weak]) / 2


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    arguments.add_argument("--sets", nargs="+", default=["mmlu", "gsm8k", "mtbench", "multimodel", "easy"])
    arguments.add_argument("--name", default="lexical-v1")
    options = arguments.parse_args()
    rows = join([load(options.work, name) for name in options.sets])
    heads, quality = fit_calibrated(rows, random_folds(rows))
    pair = "weak" in heads.models and "strong" in heads.models
    measured = ~np.isnan(rows.column("strong")) if pair else np.full(len(rows), True)
    wins = win(quality[measured], heads.models)
    about = {
        "name": options.name, "heads": heads.models, "seed": SEED, "common": COMMON, "apart": APART, "rows": len(rows),
        "data": {name: str(np.load(options.work / f"{name}.npz")["sha256"]) for name in options.sets},
        "quantiles": [round(float(at), 5) for at in np.quantile(wins, np.linspace(0, 1, STEPS + 1))],
    }
    np.savez(options.work / "model.npz", table=heads.table.astype(np.float32), telling=heads.telling, hand=heads.hand,
             bias=heads.bias, slope=heads.slope, shift=heads.shift, floor=heads.floor, about=json.dumps(about))
    print(f"{options.name}: {len(rows)} rows, {len(heads.models)} heads: {', '.join(heads.models)}")


if __name__ == "__main__":
    main()
