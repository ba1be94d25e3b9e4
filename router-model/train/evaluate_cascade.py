"""What the fine-tuned transformer adds when only the least sure are asked: MMLU's subjects held out, and GSM8K untrained.

    for fold in 0 1 2 3 4; do python finetune.py --weights DIR --work work --fold $fold; done
    python evaluate_cascade.py --work work

A prompt is unsure when its rank by the lexical model lies within half the band of the threshold's. Where it was asked the
score is the sum of both, each brought to deviation 1; the threshold moves with the share of strong calls.
"""
import argparse
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from evaluate import GSM8K_GROUPS, SETS, SPLITS, fitted, measures, subject_folds
from train import HERE, join, load

BANDS, STEPS = (0.0, 0.3, 1.0), 10


def standard(score):
    return (score - score.mean()) / (score.std() + 1e-9)


def gap_of(path, keys):
    kept = np.load(path)
    if list(kept["keys"]) != list(keys):
        raise SystemExit(f"{path} is of other rows: run finetune.py again")
    quality = 1 / (1 + np.exp(-kept["logits"]))
    names = list(kept["heads"])
    return quality[:, names.index("strong")] - quality[:, names.index("weak")]


def cascade(lexical, transformer, rows, band):
    """APGR when each threshold asks about the prompts near it; a band of 1 asks about all."""
    blend, rank = standard(lexical) + standard(transformer), rankdata(lexical) / len(lexical)
    if band in (0.0, 1.0):
        return measures(blend if band else lexical, rows.column("weak"), rows.column("strong"))[0]
    gain = rows.column("strong") - rows.column("weak")
    share = []
    for step in range(STEPS + 1):
        cut = 1 - step / STEPS
        near = np.abs(rank - cut) <= band / 2
        # Within the band the blend decides who are the strong ones, and as many as the lexical model would send.
        sent = (rank > cut) & ~near
        wanted = max(0, round(len(rank) * step / STEPS) - int(sent.sum()))
        asked = np.flatnonzero(near)
        sent[asked[np.argsort(-blend[asked], kind="stable")][:wanted]] = True
        share.append(gain[sent].sum() / gain.sum())
    return float(np.trapezoid(share, np.linspace(0, 1, STEPS + 1)))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    options = arguments.parse_args()
    mmlu, gsm8k, mtbench, many, easy = (load(options.work, name) for name in SETS)
    others = [mtbench, many.pick(~np.isin(many.groups, GSM8K_GROUPS)), easy]
    folds, found, together = subject_folds(mmlu), [], []
    for fold in range(SPLITS):
        if not (options.work / f"transformer-fold{fold}-gsm8k.npz").exists():
            print(f"fold {fold}: not fine-tuned, left out")
            continue
        test, row = mmlu.pick(folds == fold), []
        for name, rows in (("mmlu", test), ("gsm8k", gsm8k)):
            quality = fitted([mmlu.pick(folds != fold), *others], rows).quality(rows)
            transformer = gap_of(options.work / f"transformer-fold{fold}-{name}.npz", rows.keys)
            lexical = quality[:, 0] - quality[:, 1]
            row += [cascade(lexical, transformer, rows, band) for band in BANDS]
            if name == "mmlu":
                together.append((lexical, transformer, rows))
        found.append(row)
        print(f"fold {fold}: {len(test)} rows of MMLU, bands 0, 30, 100 %: {np.round(row[:3], 3)}, GSM8K {np.round(row[3:], 3)}")
    if found:
        print(f"mean of {len(found)} folds: MMLU {np.round(np.mean(found, 0)[:3], 3)}, GSM8K {np.round(np.mean(found, 0)[3:], 3)}")
        lexical, transformer = (np.concatenate([part[at] for part in together]) for at in (0, 1))
        rows = join([part[2] for part in together])
        pooled = [cascade(lexical, transformer, rows, band) for band in BANDS]
        print(f"all {len(rows)} rows in one order, as evaluate.py does: MMLU {np.round(pooled, 3)}")


if __name__ == "__main__":
    main()
