"""Prints, for each data set and split, RouteLLM's measures of a router with bootstrap intervals, AUC and calibration error,
beside random, simple baselines and the published rows. Then the choice among many models. Splits are honest: the heads and
their calibration never see a tested question.

    python evaluate.py --work work
"""
import argparse
from pathlib import Path

import numpy as np

from plot import frontier
from train import HERE, SEED, fit_calibrated, join, load, random_folds, without

PUBLISHED = """Published RouteLLM routers (arXiv 2406.18665, tables 1 to 3), APGR / CPT 50 % / CPT 80 %:
             MT-Bench           MMLU               GSM8K
  random     .500/49.03/78.08   .500/50.07/79.93   .497/50.00/80.08
  sw         .759/23.21/36.04   .603/35.40/71.55   .568/41.21/72.20
  mf         .802/13.40/31.31   .597/35.46/71.40   .565/38.82/72.62
  bert       .751/19.58/34.02   .572/41.30/72.20   .531/44.76/79.09
  causal 8B  .679/31.50/48.75   .600/35.49/70.31   .622/33.64/63.26"""
PAIR = ["strong", "weak"]
SETS = ["mmlu", "gsm8k", "mtbench", "multimodel", "easy"]
SPLITS, MANY_SPLITS, DRAWS, STEPS, BINS = 5, 10, 200, 10, 15


def measures(score, weak, strong):
    """APGR and the percentages of strong calls for 50 and 80 % of the gap, at deciles of the score like RouteLLM."""
    gain = (strong - weak)[np.argsort(-score, kind="stable")]
    gap = gain.sum()
    if gap <= 0:
        return np.full(3, np.nan)
    at = np.linspace(0, len(gain), STEPS + 1)
    share = np.interp(at, np.arange(len(gain) + 1), np.concatenate([[0], np.cumsum(gain)])) / gap
    percent = at / len(gain) * 100
    # Where the curve first reaches the wanted part of the gap.
    def percent_for(part):
        after = int(np.argmax(share >= part))
        return float(np.interp(part, share[after - 1 : after + 1], percent[after - 1 : after + 1]))
    return np.array([np.trapezoid(share, percent / 100), percent_for(0.5), percent_for(0.8)])


def auc(score, label):
    """How often a row with a good answer has the higher score; ties count half."""
    from scipy.stats import rankdata
    good = label >= 0.5
    if good.all() or not good.any():
        return np.nan
    ranks = rankdata(score)
    return (ranks[good].sum() - good.sum() * (good.sum() + 1) / 2) / (good.sum() * (~good).sum())


def calibration_error(quality, label):
    bins = np.array_split(np.argsort(quality), BINS)
    return sum(len(rows) * abs(quality[rows].mean() - label[rows].mean()) for rows in bins) / len(quality)


def error_by_chance(quality):
    """The mean calibration error of labels that are drawn from the predicted probabilities: of few rows it is large."""
    random = np.random.default_rng(SEED)
    return np.mean([calibration_error(quality, random.random(len(quality)) < quality) for _ in range(DRAWS)])


def show(name, score, rows, quality=None):
    weak, strong = rows.column("weak"), rows.column("strong")
    found, random = measures(score, weak, strong), np.random.default_rng(SEED)
    draws = [measures(score[pick], weak[pick], strong[pick])
             for pick in (random.integers(0, len(rows), len(rows)) for _ in range(DRAWS))]
    low, high = np.nanquantile(draws, [0.025, 0.975], axis=0)
    cells = [f"{found[0]:.3f} [{low[0]:.3f} {high[0]:.3f}]"]
    cells += [f"{found[at]:5.1f} [{low[at]:4.1f} {high[at]:4.1f}]" for at in (1, 2)]
    if quality is not None:
        for at, model in enumerate(PAIR):
            label = rows.column(model)
            cells.append(f"{model} AUC {auc(quality[:, at], label):.3f} ECE {calibration_error(quality[:, at], label):.3f}"
                         f" (by chance {error_by_chance(quality[:, at]):.3f})")
    print(f"  {name:<34}", "  ".join(cells), flush=True)
    return found


def baselines(rows):
    random = np.random.default_rng(SEED)
    draws = np.array([measures(random.random(len(rows)), rows.column("weak"), rows.column("strong")) for _ in range(DRAWS)])
    print(f"  {'random, mean of ' + str(DRAWS):<34} {draws[:, 0].mean():.3f} [{np.quantile(draws[:, 0], 0.025):.3f}"
          f" {np.quantile(draws[:, 0], 0.975):.3f}]  {draws[:, 1].mean():5.1f}  {draws[:, 2].mean():5.1f}")
    show("baseline: the longer, the stronger", rows.hand[:, 0], rows)
    show("baseline: more numbers", rows.hand[:, 3], rows)
    show("oracle", rows.column("strong") - rows.column("weak"), rows)


# Their prompts are GSM8K's questions, some of them from its test.
GSM8K_GROUPS = ["gsm8k", "agentverse-mgsm"]


def cross(rows, folds, extra=()):
    quality = np.zeros((len(rows), 2))
    for fold in np.unique(folds):
        test = rows.pick(folds == fold)
        quality[folds == fold] = fitted([rows.pick(folds != fold), *extra], test).quality(test)
    return quality


def fitted(sets, test):
    train = join([without(rows, [test]) for rows in sets])
    return fit_calibrated(train, random_folds(train), PAIR)[0]


def subject_folds(rows, seed=SEED):
    unique, which = np.unique(rows.groups, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(unique))[which] % SPLITS


def failures_elsewhere(rows, known):
    """The share of other models that fail each question, by their labels: more of how hard a question is than any text tells.
    Its ties are broken at random."""
    at = {key: place for place, key in enumerate(known.keys)}
    fails = 1 - np.nanmean(known.scores[[at[key] for key in rows.keys]], axis=1)
    return fails + np.random.default_rng(SEED).normal(0, 1e-6, len(rows))


def pair(work):
    mmlu, gsm8k, mtbench, many_models, easy = (load(work, name) for name in SETS)
    # Other models' rows tell what the features made by hand mean, and `easy` what needs no strong model.
    others = [many_models.pick(~np.isin(many_models.groups, GSM8K_GROUPS)), easy]
    gap = lambda quality: quality[:, 0] - quality[:, 1]
    print(f"MMLU, {len(mmlu)} rows")
    baselines(mmlu)
    quality = cross(mmlu, random_folds(mmlu), others)
    show("random split, five folds", gap(quality), mmlu, quality)
    quality = cross(mmlu, subject_folds(mmlu), others)
    show("whole subjects held out, five folds", gap(quality), mmlu, quality)
    for seed in range(3):
        some = np.random.default_rng(seed).permutation(len(mmlu)) < 1500
        test = mmlu.pick(~some)
        quality = fitted([mmlu.pick(some), *others], test).quality(test)
        show(f"1,500 labels, draw {seed}", gap(quality), test, quality)
    for name, rows, rest in (("GSM8K", gsm8k, [mmlu, mtbench]), ("MT-Bench", mtbench, [mmlu, gsm8k])):
        print(f"{name}, {len(rows)} rows")
        baselines(rows)
        quality = fitted([*rest, *others], rows).quality(rows)
        show("none of its questions in training", gap(quality), rows, quality)
        if name == "GSM8K":
            show("told what seven other models fail", failures_elsewhere(rows, load(work, "routerdc")), rows)
            quality = cross(rows, random_folds(rows), [mmlu, *others])
            show("five folds, with MMLU", gap(quality), rows, quality)


def size(model):
    """Billions of parameters, the price where none is known."""
    import re
    found = re.search(r"(\d+(?:\.\d+)?)b\b", model)
    return float(found[1]) if found else 7.0


def hull(points):
    """The cheapest price of each quality when requests are mixed at random between two settings, as RouterBench does."""
    kept = []
    for cost, quality in sorted((cost, quality) for quality, cost in points):
        while len(kept) > 1 and ((kept[-1][0] - kept[-2][0]) * (cost - kept[-2][1])
                                 <= (quality - kept[-2][0]) * (kept[-1][1] - kept[-2][1])):
            kept.pop()
        if not kept or quality > kept[-1][0]:
            kept.append((quality, cost))
    return kept


WEIGHTS = np.concatenate([[0], np.geomspace(1e-5, 1, 1000)])


def settings(quality, scores, price):
    """Quality and price of choosing by quality minus weight times price, for many weights."""
    choices = [np.argmax(quality - weight * price, axis=1) for weight in WEIGHTS]
    return np.array([(scores[np.arange(len(scores)), choice].mean(), price[choice].mean()) for choice in choices])


def out_of_folds(rows, price, best, seed):
    """Each row's quality by heads that did not see it, and what the weight does there that was the cheapest as good as the best
    single model on the other folds."""
    _, which = np.unique(rows.keys, return_inverse=True)
    folds = np.random.default_rng(seed).permutation(which.max() + 1)[which] % MANY_SPLITS
    quality, chosen = np.zeros_like(rows.scores), np.zeros((len(rows), 2))
    for fold in range(MANY_SPLITS):
        train, test = rows.pick(folds != fold), rows.pick(folds == fold)
        heads, seen = fit_calibrated(train, random_folds(train))
        known = settings(seen, train.scores, price)
        weight = max(WEIGHTS[known[:, 0] >= train.scores[:, best].mean()], default=0)
        quality[folds == fold] = heads.quality(test)
        choice = np.argmax(quality[folds == fold] - weight * price, axis=1)
        chosen[folds == fold] = np.column_stack([test.scores[np.arange(len(test)), choice], price[choice]])
    return quality, chosen


def many(work):
    """What is saved at the best single model's quality, for three divisions into folds."""
    rows = load(work, "multimodel")
    price, means = np.array([size(model) for model in rows.models]), rows.scores.mean(0)
    best = int(np.argmax(means))
    print(f"Choice among {len(rows.models)} models, {len(rows)} rows; best single {rows.models[best]}: {means[best]:.4f}"
          f" at {price[best]:g}; oracle {rows.scores.max(1).mean():.4f}")
    print("  saved at 100, 99, 95 and 90 % of its quality by one setting, and (mixed) by two at random; then by the setting that\n"
          "  was the cheapest as good as it on the other folds, and the quality there less its own, in points with 95 % interval")
    for seed in (SEED, SEED + 1, SEED + 2):
        quality, chosen = out_of_folds(rows, price, best, seed)
        points = [tuple(point) for point in settings(quality, rows.scores, price)]
        top, edge = max(points), hull(points)
        cells = []
        for part in (1.0, 0.99, 0.95, 0.9):
            wanted = part * means[best]
            one = min(cost for quality, cost in points if quality >= wanted)
            mixed = np.interp(wanted, [quality for quality, _ in edge], [cost for _, cost in edge])
            cells.append(f"{100 * (1 - one / price[best]):.1f} ({100 * (1 - mixed / price[best]):.1f})")
        gain = 100 * (chosen[:, 0] - rows.scores[:, best])
        cells.append(f"chosen: {100 * (1 - chosen[:, 1].mean() / price[best]):.1f} at {gain.mean():+.1f}"
                     f" +- {1.96 * gain.std() / len(gain) ** 0.5:.1f}")
        print(f"  division {seed}: best point {top[0]:.4f} ({100 * (top[0] - means[best]):+.1f} points) at {top[1]:.1f};  "
              + "  ".join(cells), flush=True)
        if seed == SEED:
            shown = points, list(zip(rows.models, means, price))
    return shown


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    arguments.add_argument("--plot", type=Path, help="where to write the choice among many models as SVG")
    options = arguments.parse_args()
    print(PUBLISHED)
    print("Columns: APGR [95 % interval]  CPT 50 %  CPT 80 %  AUC and calibration error of each head\n")
    pair(options.work)
    found = many(options.work)
    if options.plot:
        options.plot.write_text(frontier(*found))


if __name__ == "__main__":
    main()
