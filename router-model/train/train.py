"""Fits one linear head a model on prepared rows, calibrates it on scores of rows that it was not fitted on, writes model.npz.

    python train.py --work work --sets mmlu gsm8k mtbench multimodel --name lexical-v1
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
ALPHA, HAND_WEIGHT = 8.0, 0.03


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
    """Linear scores: words @ table + hand @ matrix + bias, then a sigmoid of a line."""

    def __init__(self, models):
        self.models = list(models)
        self.table = np.zeros((1 << BITS, len(self.models)))
        self.hand = np.zeros((HAND, len(self.models)))
        self.bias = np.zeros(len(self.models))
        self.slope, self.shift = np.full(len(self.models), 4.0), np.full(len(self.models), -2.0)

    def raw(self, rows):
        return rows.words @ self.table + rows.hand @ self.hand + self.bias

    def quality(self, rows):
        return 1 / (1 + np.exp(-(self.raw(rows) * self.slope + self.shift)))


def fit(rows, models=None, alpha=ALPHA, hand_weight=HAND_WEIGHT):
    heads = Heads(models or rows.models)
    mean, deviation = rows.hand.mean(0), rows.hand.std(0) + 1e-6
    inputs = sparse.hstack([rows.words, sparse.csr_matrix((rows.hand - mean) / deviation * hand_weight)]).tocsr()
    for at, model in enumerate(heads.models):
        labels = rows.column(model)
        there = ~np.isnan(labels)
        ridge = Ridge(alpha, solver="sparse_cg", tol=1e-4).fit(inputs[there], labels[there])
        heads.table[:, at] = ridge.coef_[: 1 << BITS]
        heads.hand[:, at] = ridge.coef_[1 << BITS :] * hand_weight / deviation
        heads.bias[at] = ridge.intercept_ - mean @ heads.hand[:, at]
    return heads


def calibrate(raw, labels):
    """Platt's line for labels between 0 and 1: the slope and shift of least log loss."""
    def loss(line):
        logit = line[0] * raw + line[1]
        return np.mean(np.logaddexp(0, logit) - labels * logit)
    return minimize(loss, [4.0, -2.0], method="BFGS").x


def out_of_fold(rows, folds, models=None, **how):
    raw = np.full((len(rows), len(models or rows.models)), np.nan)
    for fold in np.unique(folds):
        raw[folds == fold] = fit(rows.pick(folds != fold), models, **how).raw(rows.pick(folds == fold))
    return raw


def fit_calibrated(rows, folds, models=None, **how):
    """Heads fitted on all rows, and calibrated on scores that each row got from heads that did not see its fold."""
    heads = fit(rows, models, **how)
    raw = out_of_fold(rows, folds, models, **how)
    for at, model in enumerate(heads.models):
        labels = rows.column(model)
        there = ~np.isnan(labels)
        heads.slope[at], heads.shift[at] = calibrate(raw[there, at], labels[there])
    return heads, 1 / (1 + np.exp(-(raw * heads.slope + heads.shift)))


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
    arguments.add_argument("--sets", nargs="+", default=["mmlu", "gsm8k", "mtbench", "multimodel"])
    arguments.add_argument("--name", default="lexical-v1")
    options = arguments.parse_args()
    rows = join([load(options.work, name) for name in options.sets])
    heads, quality = fit_calibrated(rows, random_folds(rows))
    pair = "weak" in heads.models and "strong" in heads.models
    measured = ~np.isnan(rows.column("strong")) if pair else np.full(len(rows), True)
    wins = win(quality[measured], heads.models)
    about = {
        "name": options.name, "heads": heads.models, "seed": SEED, "alpha": ALPHA, "rows": len(rows),
        "data": {name: str(np.load(options.work / f"{name}.npz")["sha256"]) for name in options.sets},
        "quantiles": [round(float(at), 5) for at in np.quantile(wins, np.linspace(0, 1, STEPS + 1))],
    }
    np.savez(options.work / "model.npz", table=heads.table.astype(np.float32), hand=heads.hand, bias=heads.bias,
             slope=heads.slope, shift=heads.shift, about=json.dumps(about))
    print(f"{options.name}: {len(rows)} rows, {len(heads.models)} heads: {', '.join(heads.models)}")


if __name__ == "__main__":
    main()
