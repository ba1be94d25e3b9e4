"""Writes what finetune.py trained as the folder that the gateway's second stage reads: model.onnx with 8-bit weights,
tokenizer.json, and card.json with the names of the heads, how much they count and how many tokens are read.

    python finetune.py --weights DIR --work work && python export_transformer.py --weights DIR --work work --out work/stage1

Inputs `input_ids` and `attention_mask` int64[batch, tokens], output `probabilities` float[batch, heads]. `--weights` is the
folder that finetune.py had. Some 23 MB, which are not kept in git.
"""
import argparse
import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import BertConfig

from finetune import Router, TOKENS, padded, tokenise
from prepare import HERE, read_rows

OPSET = 17
# How much the transformer counts beside the linear model: evaluate_cascade.py shows the choice.
BLEND = 0.5
# Eight bits move a probability by so much at most on the mean over prompts and heads.
MOST_MEAN = 0.02
TRIED = 64


class Probabilities(torch.nn.Module):
    def __init__(self, router):
        super().__init__()
        self.router = router

    def forward(self, ids, mask):
        return torch.sigmoid(self.router(ids, mask))


def export(router, path):
    """ONNX with the weights of matrices and embeddings in 8 bits, a scale for each column."""
    ids = torch.ones(2, 8, dtype=torch.int64)
    names = {"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}, "probabilities": {0: "batch"}}
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.onnx"
        torch.onnx.export(Probabilities(router).eval(), (ids, torch.ones_like(ids)), str(whole), input_names=list(names)[:2],
                          output_names=["probabilities"], dynamic_axes=names, opset_version=OPSET, dynamo=False)
        quantize_dynamic(str(whole), str(path), weight_type=QuantType.QInt8, per_channel=True,
                         op_types_to_quantize=["MatMul", "Gather"])
    onnx.checker.check_model(str(path))


def apart(router, path, tokens):
    """By how much ONNX Runtime's probabilities differ from PyTorch's, over prompts as lists of tokens."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    found = []
    for some in tokens:
        ids, mask = padded([some])
        with torch.no_grad():
            wanted = Probabilities(router).eval()(ids, mask).numpy()
        found.append(np.abs(session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0] - wanted))
    return np.concatenate(found)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--weights", type=Path, required=True)
    arguments.add_argument("--data", type=Path, default=HERE.parents[2] / "shared/router-data")
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    arguments.add_argument("--out", type=Path, default=HERE / "work/stage1")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    kept = torch.load(options.work / "transformer.pt", weights_only=True)
    config = BertConfig.from_json_file(options.weights / "config.json")
    # The one form of attention that the exporter writes with free lengths.
    config._attn_implementation = "eager"
    router = Router(config, len(kept["heads"]))
    router.load_state_dict(kept["model"])
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "model.onnx"
    export(router, path)
    shutil.copyfile(options.weights / "tokenizer.json", options.out / "tokenizer.json")
    prompts = [row["prompt"] for name in ("mmlu", "multimodel") for row in read_rows(options.data / f"{name}.jsonl.gz")[::97]]
    moved = apart(router, path, tokenise(options.weights, prompts[:TRIED]))
    card = {"heads": [str(head) for head in kept["heads"]], "blend": BLEND, "max_tokens": TOKENS,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (options.out / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {len(card['heads'])} heads; 8 bits move a probability by"
          f" {moved.mean():.4f} on the mean and {moved.max():.3f} at most, over {len(moved)} prompts")
    if moved.mean() > MOST_MEAN:
        raise SystemExit(f"error: {MOST_MEAN} is allowed on the mean")


if __name__ == "__main__":
    main()
