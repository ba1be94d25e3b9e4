"""Turns a genuine RouteLLM checkpoint (`mf` or `bert`) into ONNX: inputs of its own, output `quality` float[1, 2] for the heads
`weak` and `strong`, whose win rate (1 + strong - weak) / 2 is RouteLLM's own.

    python export_routellm.py mf --checkpoint mf_gpt4_augmented --out models
    python export_routellm.py bert --checkpoint bert_gpt4_augmented --out models

`mf` reads `embedding` float[n], of text-embedding-3-small as RouteLLM asks for it. `bert` reads `input_ids` and
`attention_mask` int64[1, tokens]; its tokenizer.json is copied beside the model. A checkpoint is the folder that
`huggingface-cli download routellm/...` makes, with model.safetensors or pytorch_model.bin.
"""
import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
HEADS = ["weak", "strong"]
# Rows of the matrix of models in RouteLLM's checkpoints, for the pair that they were calibrated on.
STRONG, WEAK = 24, 36


def weights(checkpoint):
    whole, pickled = checkpoint / "model.safetensors", checkpoint / "pytorch_model.bin"
    if whole.exists():
        from safetensors.torch import load_file
        return load_file(whole)
    if pickled.exists():
        return torch.load(pickled, map_location="cpu", weights_only=True)
    raise SystemExit(f"{checkpoint} has neither model.safetensors nor pytorch_model.bin")


def direction(kept, strong, weak):
    """For one pair the whole model is one vector: its product with an embedding is the logit of the strong one's win."""
    missing = {"P.weight", "text_proj.0.weight", "classifier.0.weight"} - set(kept)
    if missing:
        raise SystemExit(f"no matrix factorisation of RouteLLM: {', '.join(sorted(missing))} is missing")
    models = kept["P.weight"].double()
    if max(strong, weak) >= len(models) or min(strong, weak) < 0:
        raise SystemExit(f"the checkpoint knows models 0 to {len(models) - 1}, not {strong} and {weak}")
    unit = torch.nn.functional.normalize(models[[strong, weak]], dim=1)
    mixed = kept["classifier.0.weight"].double()[0] * (unit[0] - unit[1])
    return (kept["text_proj.0.weight"].double().T @ mixed).float().numpy()


def describe(model, name, kind):
    for key, value in (("name", json.dumps(name)), ("heads", json.dumps(HEADS)), ("kind", json.dumps(kind))):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model


def export_mf(kept, strong, weak, path, name):
    pair = direction(kept, strong, weak)
    # The weak one's part is one minus the strong one's, which is the sigmoid of the negative logit.
    both = np.column_stack([-pair, pair]).astype(np.float32)
    nodes = [
        helper.make_node("Unsqueeze", ["embedding", "row"], ["embedding_row"]),
        helper.make_node("MatMul", ["embedding_row", "pair"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["quality"]),
    ]
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [len(pair)])],
        [helper.make_tensor_value_info("quality", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(both, "pair"), numpy_helper.from_array(np.array([0], dtype=np.int64), "row")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9, producer_name="signalbox")
    onnx.checker.check_model(model)
    onnx.save(describe(model, name, "embedding"), path)


class BertPair(torch.nn.Module):
    """RouteLLM's label 0 is a win of the strong one; a tie and a win of the weak one are for the weak one."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, input_ids, attention_mask):
        win = self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits.softmax(-1)[:, :1]
        return torch.cat([1 - win, win], 1)


def load_bert(checkpoint):
    from transformers import AutoModelForSequenceClassification
    classifier = AutoModelForSequenceClassification.from_pretrained(checkpoint, attn_implementation="eager")
    if classifier.config.num_labels != 3:
        raise SystemExit(f"RouteLLM's bert has 3 labels, this one has {classifier.config.num_labels}")
    return classifier


def export_bert(classifier, path, name):
    ids = torch.ones(1, 16, dtype=torch.long)
    names = {"input_ids": {1: "tokens"}, "attention_mask": {1: "tokens"}}
    torch.onnx.export(BertPair(classifier).eval(), (ids, ids), path, input_names=list(names), output_names=["quality"],
                      dynamic_axes=names, opset_version=OPSET, dynamo=False)
    onnx.save(describe(onnx.load(path), name, "tokens"), path)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("kind", choices=["mf", "bert"])
    arguments.add_argument("--checkpoint", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--strong", type=int, default=STRONG, help="mf: the row of the stronger model, 24 is gpt-4-1106-preview")
    arguments.add_argument("--weak", type=int, default=WEAK, help="mf: the row of the weaker model, 36 is mixtral-8x7b-instruct-v0.1")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"routellm-{options.kind}"
    path = options.out / f"{name}.onnx"
    if options.kind == "mf":
        export_mf(weights(options.checkpoint), options.strong, options.weak, path, name)
    else:
        export_bert(load_bert(options.checkpoint), path, name)
        for file in ("tokenizer.json", "sentencepiece.bpe.model"):
            if (options.checkpoint / file).exists():
                shutil.copy(options.checkpoint / file, options.out / file)
    print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")


if __name__ == "__main__":
    main()
