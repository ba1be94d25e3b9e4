"""Writes model.npz as the gateway's model file and as ONNX, both with the same 8-bit table, and a list of checksums.

    python export.py --work work --out ../models
"""
import argparse
import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from train import CHOICES, HAND

HERE = Path(__file__).resolve().parent
FEATURES_VERSION, OPSET = 2, 17


def quantise(kept):
    """One scale a head or kind. Scales go into the small matrices, so that softmax and sigmoid are all that is left. How
    telling a row is is in its cells already, and stands beside them for the length of a prompt."""
    cells = np.hstack([kept["table"], kept["kind_table"]]) * kept["telling"][:, None]
    scale = np.maximum(np.abs(cells).max(0), 1e-12) / 127
    heads = kept["table"].shape[1]
    return {
        "table": np.column_stack([np.rint(cells / scale), kept["telling"]]).astype(np.int8),
        "kind_matrix": np.vstack([np.diag(scale[heads:]), kept["kind_hand"]]).astype("<f4"),
        "kind_bias": kept["kind_bias"].astype("<f4"),
        "matrix": np.vstack([np.diag(scale[:heads]), kept["kind_means"], kept["hand"]]).astype("<f4"),
        "bias": kept["bias"].astype("<f4"), "floor": kept["floor"].astype("<f4"),
        **{name: kept[name].astype("<f4") for name in ("open_words", "open_hand", "open_bias")},
    }


def write_model(path, about, tensors):
    head = json.dumps({**about, "features": FEATURES_VERSION}).encode()
    content = b"SBROUTE4" + struct.pack("<I", len(head)) + head + b"".join(tensor.tobytes() for tensor in tensors.values())
    path.write_bytes(content + hashlib.sha256(content).digest())


def write_onnx(path, about, tensors):
    """buckets int64[n], weights float[n], hand float[16] -> quality float[1, heads]"""
    heads, kinds, half = len(about["heads"]), len(about["kinds"]), len(tensors["table"]) // 2
    whole = lambda *values: np.array(values, dtype=np.int64)
    above = len(tensors["matrix"]) - HAND
    tensors = {**tensors, "matrix": tensors["matrix"][:above], "hand_matrix": tensors["matrix"][above:],
               # What a prompt without choices takes off each sum.
               "words_less": tensors["open_words"] - 1,
               "room": 1 - tensors["floor"], "row": whole(0), "column": whole(1), "choices": whole(CHOICES),
               "none": np.zeros(1, np.float32), "half": whole(half), "all": whole(2 * half),
               "cells_of": whole(heads, kinds, 1), "one": np.array(1, dtype=np.float32)}
    if not kinds:
        tensors["cells_of"] = whole(heads, 1)
        del tensors["kind_matrix"], tensors["kind_bias"]
    del tensors["open_words"]
    node = helper.make_node
    sums = lambda cells, out: [node("MatMul", ["weights_row", cells], [f"long_{out}"]), node("Div", [f"long_{out}", "divisor"], [out])]
    nodes = [
        node("Gather", ["hand", "choices"], ["has_choices"], axis=0),
        node("Equal", ["has_choices", "none"], ["is_open"]),
        node("Cast", ["is_open"], ["open_whole"], to=TensorProto.INT64),
        node("Cast", ["is_open"], ["open"], to=TensorProto.FLOAT),
        node("Mul", ["open_whole", "half"], ["away"]),
        node("Add", ["buckets", "away"], ["moved"]),
        node("Mod", ["moved", "all"], ["places"]),
        node("Gather", ["table", "places"], ["cells"], axis=0),
        node("Cast", ["cells"], ["rows"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["weights", "row"], ["weights_row"]),
        node("Unsqueeze", ["hand", "row"], ["hand_row"]),
        node("Split", ["rows", "cells_of"], ["cells_of_heads", *["cells_of_kinds"] * bool(kinds), "telling"], axis=1),
        node("Squeeze", ["telling", "column"], ["telling_row"]),
        node("Mul", ["weights", "telling_row"], ["weighted"]),
        node("ReduceL2", ["weighted"], ["length"], keepdims=0),
        node("Max", ["length", "one"], ["divisor"]),
        *sums("cells_of_heads", "sums"),
    ]
    if kinds:
        nodes += [
            *sums("cells_of_kinds", "kind_sums"),
            node("Concat", ["kind_sums", "hand_row"], ["kind_inputs"], axis=1),
            node("MatMul", ["kind_inputs", "kind_matrix"], ["kind_mixed"]),
            node("Add", ["kind_mixed", "kind_bias"], ["kind_logits"]),
            node("Softmax", ["kind_logits"], ["likely"], axis=1),
        ]
    nodes += [
        node("Mul", ["open", "words_less"], ["less"]),
        node("Add", ["less", "one"], ["words_count"]),
        node("Mul", ["sums", "words_count"], ["counted"]),
        node("Concat", ["counted", *["likely"] * bool(kinds)], ["inputs"], axis=1),
        node("MatMul", ["inputs", "matrix"], ["of_words"]),
        node("Where", ["is_open", "open_hand", "hand_matrix"], ["hand_weights"]),
        node("MatMul", ["hand_row", "hand_weights"], ["of_hand"]),
        node("Add", ["of_words", "of_hand"], ["mixed"]),
        node("Where", ["is_open", "open_bias", "bias"], ["its_bias"]),
        node("Add", ["mixed", "its_bias"], ["logits"]),
        node("Sigmoid", ["logits"], ["plain"]),
        node("Mul", ["plain", "room"], ["lifted"]),
        node("Add", ["lifted", "floor"], ["quality"]),
    ]
    graph = helper.make_graph(
        nodes, about["name"],
        [helper.make_tensor_value_info("buckets", TensorProto.INT64, ["n"]),
         helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["n"]),
         helper.make_tensor_value_info("hand", TensorProto.FLOAT, [16])],
        [helper.make_tensor_value_info("quality", TensorProto.FLOAT, [1, heads])],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9, producer_name="signalbox")
    for key in ("name", "heads"):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(about[key])
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    arguments.add_argument("--out", type=Path, default=HERE.parent / "models")
    options = arguments.parse_args()
    export(options.work, options.out)


def export(work, out):
    kept = np.load(work / "model.npz")
    about = json.loads(str(kept["about"]))
    tensors = quantise(kept)
    out.mkdir(parents=True, exist_ok=True)
    write_model(out / f"{about['name']}.sbm", about, tensors)
    write_onnx(out / f"{about['name']}.onnx", about, tensors)
    files = sorted(path for path in out.iterdir() if path.suffix in (".sbm", ".onnx"))
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")


if __name__ == "__main__":
    main()
