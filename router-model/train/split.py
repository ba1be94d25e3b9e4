"""Splits labelled files by question, so that a model can be shown on rows that it never saw.

    python split.py --data ../../../shared/router-data --out work/split --share 0.2

Writes `train/` and `test/` below --out, with the names of the files. The same question is on one side in every file, and always
on the same side.
"""
import argparse
import gzip
import json
from pathlib import Path

from prepare import HERE, key, read_rows

SETS = ["mmlu", "gsm8k", "mtbench", "multimodel"]


def is_test(prompt, share):
    return int(key(prompt), 16) / 16**24 < share


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=HERE.parents[2] / "shared/router-data")
    arguments.add_argument("--out", type=Path, default=HERE / "work/split")
    arguments.add_argument("--share", type=float, default=0.2)
    options = arguments.parse_args()
    for name in SETS:
        rows = read_rows(options.data / f"{name}.jsonl.gz")
        sides = {"train": [], "test": []}
        for row in rows:
            sides["test" if is_test(row["prompt"], options.share) else "train"].append(row)
        for side, some in sides.items():
            write(options.out / side / f"{name}.jsonl.gz", some)
        print(f"{name}: {len(sides['train'])} to train on, {len(sides['test'])} to show")


if __name__ == "__main__":
    main()
