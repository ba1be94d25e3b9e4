"""Every prompt's scores by the ONNX file in Python and by the gateway's built-in evaluator: fails if any differ by over 1e-3.

    python verify.py --data ../../../shared/router-data --models ../models --name lexical-v1
"""
import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime

from prepare import HERE, featurise, featuriser, read_rows

MOST = 1e-3


def in_python(session, prompts):
    buckets, weights, hand, starts = featurise(prompts)
    return np.concatenate([
        session.run(None, {"buckets": buckets[low:high].astype(np.int64), "weights": weights[low:high], "hand": hand[at]})[0]
        for at, (low, high) in enumerate(zip(starts[:-1], starts[1:]))])


def in_the_gateway(model, prompts):
    lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    told = subprocess.run([featuriser(), "scores", model], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    return np.array([json.loads(line) for line in told.splitlines()])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=HERE.parents[2] / "shared/router-data")
    arguments.add_argument("--models", type=Path, default=HERE.parent / "models")
    arguments.add_argument("--name", default="lexical-v1")
    options = arguments.parse_args()
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(options.models / f"{options.name}.onnx", threads)
    worst = 0.0
    for path in sorted(options.data.glob("*.jsonl*")):
        prompts = [row["prompt"] for row in read_rows(path)]
        apart = np.abs(in_python(session, prompts) - in_the_gateway(options.models / f"{options.name}.sbm", prompts))
        print(f"{path.name}: {len(prompts)} rows, differ by {apart.max():.2e} at most")
        worst = max(worst, apart.max())
    if worst > MOST:
        raise SystemExit(f"error: scores differ by {worst:.2e}, {MOST:.0e} is allowed")


if __name__ == "__main__":
    main()
