"""What five shares of strong calls save and keep, on labelled rows that the model never saw: for a pair's files.

    python split.py && python prepare.py --data work/split/train easy.jsonl --work work/shown
    python train.py --work work/shown --name held-out && python export.py --work work/shown --out work/shown
    python show.py --model work/shown/held-out.sbm --data work/split/test

The threshold of a share is the quantile of win rates that the model's file keeps from its training, as the gateway uses it.
`signalbox router simulate --classifier work/shown/held-out.sbm --data work/split/test/mmlu.jsonl.gz` shows the same rows.
"""
import argparse
import json
import struct
from pathlib import Path

import numpy as np

from prepare import HERE, read_rows
from train import win
from verify import in_the_gateway

FILES = ["mmlu", "gsm8k", "mtbench"]
SHARES = [0.1, 0.3, 0.5, 0.7, 0.9]
# Dollars for a million tokens of mixtral-8x7b and gpt-4-1106-preview, as RouteLLM priced them.
WEAK_PRICE, STRONG_PRICE = 0.24, 24.7


def head_of(model):
    file = model.read_bytes()
    (length,) = struct.unpack_from("<I", file, 8)
    return json.loads(file[12 : 12 + length])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", type=Path, default=HERE / "work/shown/held-out.sbm")
    arguments.add_argument("--data", type=Path, default=HERE / "work/split/test")
    options = arguments.parse_args()
    head = head_of(options.model)
    quantiles = np.linspace(0, 1, len(head["quantiles"]))
    for name in FILES:
        rows = read_rows(options.data / f"{name}.jsonl.gz")
        weak, strong = (np.array([row[pair] for row in rows], dtype=float) for pair in ("weak", "strong"))
        wins = win(in_the_gateway(options.model, [row["prompt"] for row in rows]), head["heads"])
        print(f"\n{name}, {len(rows)} rows: weak {weak.mean():.3f}, strong {strong.mean():.3f}\n")
        print("| share asked | threshold | strong calls | quality | of the strong one's | gap closed | cost saved |")
        print("|---|---|---|---|---|---|---|")
        for share in SHARES:
            threshold = np.interp(1 - share, quantiles, head["quantiles"])
            chosen = wins >= threshold
            quality = np.where(chosen, strong, weak).mean()
            cost = np.where(chosen, STRONG_PRICE, WEAK_PRICE).mean()
            print(f"| {share:.0%} | {threshold:.3f} | {chosen.mean():.1%} | {quality:.3f} | {quality / strong.mean():.1%} "
                  f"| {(quality - weak.mean()) / (strong.mean() - weak.mean()):.0%} | {1 - cost / STRONG_PRICE:.1%} |")


if __name__ == "__main__":
    main()
