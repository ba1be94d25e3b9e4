"""What the fine-tuned transformer adds when only the least sure are asked: MMLU's subjects held out, and GSM8K untrained.

    for fold in 0 1 2 3 4; do python finetune.py --weights DIR --work work --fold $fold; done
    python evaluate_cascade.py --work work

A prompt is unsure when its rank by the lexical model lies within half the band of the threshold's. Where it was asked the
probability of each head is the mean of both, as the gateway takes it, and meets the same threshold.
"""
import argparse
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from evaluate import GSM8K_GROUPS, SETS, SPLITS, fitted, subject_folds
from train import HERE, SEED, load

BANDS, STEPS, DRAWS = (0.0, 0.3, 1.0), 10, 200


def gap_of(path, keys):
    kept = np.load(path)
    if list(kept["keys"]) != list(keys):
        raise SystemExit(f"{path} is of other rows: run finetune.py again")
    quality = 1 / (1 + np.exp(-kept["logits"]))
    names = list(kept["heads"])
    return quality[:, names.index("strong")] - quality[:, names.index("weak")]


def cascade(lexical, transformer, gain, band, blend):
    """APGR when each threshold asks about the prompts near it; a band of 1 asks about all."""
    both, rank = (1 - blend) * lexical + blend * transformer, rankdata(lexical) / len(lexical)
    curve = [(0.0, 0.0), (1.0, 1.0)]
    for step in range(1, STEPS):
        cut = 1 - step / STEPS
        threshold = np.quantile(lexical, cut)
        near = np.abs(rank - cut) <= band / 2 if band < 1 else np.full(len(rank), True)
        sent = np.where(near, both, lexical) >= threshold
        curve.append((sent.mean(), gain[sent].sum() / gain.sum()))
    share, closed = zip(*sorted(curve))
    return float(np.trapezoid(closed, share))


def told(parts, blend):
    """APGR for each band, and what the second band adds to the first, with 95 % intervals: the mean over parts, which are scores
    of the same rows by several models."""
    rows, random = len(parts[0][0]), np.random.default_rng(SEED)
    picks = [np.arange(rows), *(random.integers(0, rows, rows) for _ in range(DRAWS))]
    found = np.array([np.mean([[cascade(*(column[pick] for column in part), band, blend) for band in BANDS] for part in parts], 0)
                      for pick in picks])
    found = np.column_stack([found, found[:, 1] - found[:, 0]])
    low, high = np.nanquantile(found[1:], [0.025, 0.975], axis=0)
    return "  ".join(f"{name} {of:.3f} [{least:.3f} {most:.3f}]" for name, of, least, most in
                     zip([*(f"{band:.0%}" for band in BANDS), "30 % less 0 %"], found[0], low, high))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    arguments.add_argument("--blend", type=float, default=0.5)
    options = arguments.parse_args()
    mmlu, gsm8k, mtbench, many, easy = (load(options.work, name) for name in SETS)
    others = [mtbench, many.pick(~np.isin(many.groups, GSM8K_GROUPS)), easy]
    folds, pooled = subject_folds(mmlu), {"mmlu": [], "gsm8k": []}
    for fold in range(SPLITS):
        test = mmlu.pick(folds == fold)
        for name, rows in (("mmlu", test), ("gsm8k", gsm8k)):
            quality = fitted([mmlu.pick(folds != fold), *others], rows).quality(rows)
            transformer = gap_of(options.work / f"transformer-fold{fold}-{name}.npz", rows.keys)
            part = quality[:, 0] - quality[:, 1], transformer, rows.column("strong") - rows.column("weak")
            pooled[name].append(part)
            print(f"fold {fold}, {name}, {len(rows)} rows:", np.round([cascade(*part, band, options.blend) for band in BANDS], 3),
                  flush=True)
    print(f"all folds, bands {BANDS}, blend {options.blend}, 95 % intervals:")
    together = [tuple(np.concatenate(column) for column in zip(*pooled["mmlu"]))]
    print(f"  mmlu, all rows in one order: {told(together, options.blend)}")
    print(f"  gsm8k, mean of the five models: {told(pooled['gsm8k'], options.blend)}")
    for blend in (0.3, 0.5, 0.7):
        means = {name: np.round(np.mean([[cascade(*part, band, blend) for band in BANDS] for part in parts], 0), 3)
                 for name, parts in pooled.items()}
        print(f"  mean of the folds, blend {blend}: {means}")


if __name__ == "__main__":
    main()
