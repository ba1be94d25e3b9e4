"""A private router from your own labels by one command: reads them, trains, calibrates and exports, and tells what the heads are
worth on rows that they did not see. Each line of the file is {"prompt": ..., "scores": {model: 0..1}}.

    python private.py mine.jsonl --out mine --name mine
"""
import argparse
import tempfile
from pathlib import Path

import numpy as np

from evaluate import auc, calibration_error, error_by_chance
from export import export
from prepare import prepare
from train import build

FEWEST = 100


def main(given=None):
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("labels", type=Path, nargs="+", help="JSON lines, also gzipped")
    arguments.add_argument("--out", type=Path, default=Path("private"), help="a folder for the model")
    arguments.add_argument("--name", default="private")
    options = arguments.parse_args(given)
    names = [path.name.split(".")[0] for path in options.labels]
    if len(set(names)) < len(names):
        raise SystemExit("two of the files have one name: give each its own")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for path in options.labels:
            prepare(path, work)
        rows, quality = build(work, names, options.name)
        if len(rows) < FEWEST:
            print(f"{len(rows)} rows are few: expect little of it before there are some hundreds")
        print("on rows not seen:")
        for at, model in enumerate(rows.models):
            there = ~np.isnan(rows.column(model))
            told, label = quality[there, at], rows.column(model)[there]
            print(f"  {model}: {there.sum()} rows, mean {label.mean():.3f}, AUC {auc(told, label):.3f},"
                  f" calibration error {calibration_error(told, label):.3f} (by chance {error_by_chance(told):.3f})")
        export(work, options.out)
    print(f"in the configuration: route: {{classifier: {options.out / options.name}.sbm, ...}}")


if __name__ == "__main__":
    main()
