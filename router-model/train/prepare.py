"""Reads labelled prompts, has the gateway's own featuriser read each, and keeps both as one .npz a file.

    python prepare.py --data ../../../shared/router-data easy.jsonl --work work

Each line of a data file is {"prompt": ..., "scores": {model: 0..1}} (a user's own labels), or has `weak` and `strong`
(RouteLLM's pair), or `s:<model>` (many models); `group` or `task_name` says where the row comes from.
"""
import argparse
import gzip
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
BITS, HAND = 17, 16


def featuriser():
    """The program of this repository that training and the gateway share."""
    named = os.environ.get("ROUTE_FEATURES")
    path = Path(named) if named else HERE.parents[1] / "target/release/route-features"
    if not path.exists():
        raise SystemExit(f"{path} is missing: cargo build --release -p router-model, or set ROUTE_FEATURES")
    return path


def featurise(prompts):
    """Buckets and weights as one ragged array, and the features made by hand."""
    lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    raw = subprocess.run([featuriser(), "features"], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    buckets, weights, hand, lengths, at = [], [], [], [], 0
    for _ in prompts:
        (count,) = np.frombuffer(raw, "<u4", 1, at)
        count = int(count)
        buckets.append(np.frombuffer(raw, "<u4", count, at + 4))
        weights.append(np.frombuffer(raw, "<f4", count, at + 4 + 4 * count))
        hand.append(np.frombuffer(raw, "<f4", HAND, at + 4 + 8 * count))
        lengths.append(count)
        at += 4 + 8 * count + 4 * HAND
    assert at == len(raw)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.concatenate(buckets), np.concatenate(weights), np.stack(hand), starts


def key(prompt):
    """Two prompts with one key are one question: only letters and digits count."""
    return hashlib.sha256(re.sub(r"[^a-z0-9]+", " ", prompt.lower()).strip().encode()).hexdigest()[:24]


def read_rows(path):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path)
    with opened as file:
        rows = [json.loads(line) for line in file if line.strip()]
    for at, row in enumerate(rows):
        if not isinstance(row.get("prompt"), str):
            raise SystemExit(f"{path}:{at + 1}: `prompt` is missing or no text")
    return rows


def labels(rows):
    """Models in order of their names, and a matrix with nan where a model did not run."""
    tables = []
    for row in rows:
        table = dict(row.get("scores") or {})
        table |= {name: row[name] for name in ("weak", "strong") if name in row}
        table |= {name[2:]: score for name, score in row.items() if name.startswith("s:")}
        tables.append({name: score for name, score in table.items() if score is not None})
    models = sorted({name for table in tables for name in table})
    matrix = np.array([[table.get(name, np.nan) for name in models] for table in tables], dtype=np.float64)
    if np.nanmax(matrix) > 1:  # MT-Bench's judge gives 1 to 10
        matrix = (matrix - 1) / 9
    if np.nanmin(matrix) < 0 or np.nanmax(matrix) > 1:
        raise SystemExit("scores must lie between 0 and 1, or all between 1 and 10")
    return models, matrix


def prepare(path, work):
    rows = read_rows(path)
    models, matrix = labels(rows)
    buckets, weights, hand, starts = featurise([row["prompt"] for row in rows])
    name = path.name.split(".")[0]
    np.savez(
        work / f"{name}.npz",
        buckets=buckets, weights=weights, hand=hand, starts=starts, scores=matrix,
        models=np.array(models), keys=np.array([key(row["prompt"]) for row in rows]),
        groups=np.array([str(row.get("task_name") or row.get("group") or row.get("dataset") or "") for row in rows]),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    print(f"{name}: {len(rows)} rows, {len(models)} models, {len(buckets) / len(rows):.0f} features a prompt")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, nargs="+", default=[HERE.parents[2] / "shared/router-data", HERE / "easy.jsonl"],
                           help="folders of .jsonl or .jsonl.gz, or such files")
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    options = arguments.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    files = []
    for place in options.data:
        found = sorted(place.glob("*.jsonl*")) if place.is_dir() else [place]
        if not found:
            raise SystemExit(f"{place} has no .jsonl or .jsonl.gz")
        files += found
    for path in files:
        prepare(path, options.work)


if __name__ == "__main__":
    main()
