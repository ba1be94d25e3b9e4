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

HERE = Path(__file__).resolve().parent
FEATURES_VERSION, OPSET = 2, 17


def quantise(kept):
    """One scale a head. Slope, shift and scale all go into the small matrix, so that a sigmoid is all that is left. How telling
    a row is is in its cells already, and stands beside them for the length of a prompt."""
    cells = kept["table"] * kept["telling"][:, None]
    scale = np.maximum(np.abs(cells).max(0), 1e-12) / 127
    table = np.column_stack([np.rint(cells / scale), kept["telling"]]).astype(np.int8)
    matrix = np.vstack([np.diag(scale * kept["slope"]), kept["hand"] * kept["slope"]]).astype("<f4")
    bias = (kept["bias"] * kept["slope"] + kept["shift"]).astype("<f4")
    return table, matrix, bias, kept["floor"].astype("<f4")


def write_model(path, about, table, matrix, bias, floor):
    head = json.dumps({**about, "features": FEATURES_VERSION}).encode()
    content = b"SBROUTE2" + struct.pack("<I", len(head)) + head
    content += b"".join(tensor.tobytes() for tensor in (table, matrix, bias, floor))
    path.write_bytes(content + hashlib.sha256(content).digest())


def write_onnx(path, about, table, matrix, bias, floor):
    """buckets int64[n], weights float[n], hand float[16] -> quality float[1, heads]"""
    heads = len(bias)
    tensors = {"table": table, "matrix": matrix, "bias": bias, "floor": floor, "room": 1 - floor, "row": np.array([0], dtype=np.int64),
               "cells_of": np.array([heads, 1], dtype=np.int64), "one": np.array(1, dtype=np.float32), "column": np.array([1], dtype=np.int64)}
    nodes = [
        helper.make_node("Gather", ["table", "buckets"], ["cells"], axis=0),
        helper.make_node("Cast", ["cells"], ["rows"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "row"], ["weights_row"]),
        helper.make_node("Split", ["rows", "cells_of"], ["cells_of_heads", "telling"], axis=1),
        helper.make_node("MatMul", ["weights_row", "cells_of_heads"], ["long_sums"]),
        helper.make_node("Squeeze", ["telling", "column"], ["telling_row"]),
        helper.make_node("Mul", ["weights", "telling_row"], ["weighted"]),
        helper.make_node("ReduceL2", ["weighted"], ["length"], keepdims=0),
        helper.make_node("Max", ["length", "one"], ["divisor"]),
        helper.make_node("Div", ["long_sums", "divisor"], ["sums"]),
        helper.make_node("Unsqueeze", ["hand", "row"], ["hand_row"]),
        helper.make_node("Concat", ["sums", "hand_row"], ["inputs"], axis=1),
        helper.make_node("Gemm", ["inputs", "matrix", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["curve"]),
        helper.make_node("Mul", ["curve", "room"], ["part"]),
        helper.make_node("Add", ["part", "floor"], ["quality"]),
    ]
    graph = helper.make_graph(
        nodes, about["name"],
        [helper.make_tensor_value_info("buckets", TensorProto.INT64, ["n"]),
         helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["n"]),
         helper.make_tensor_value_info("hand", TensorProto.FLOAT, [16])],
        [helper.make_tensor_value_info("quality", TensorProto.FLOAT, [1, len(bias)])],
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
    kept = np.load(options.work / "model.npz")
    about = json.loads(str(kept["about"]))
    tensors = quantise(kept)
    options.out.mkdir(parents=True, exist_ok=True)
    write_model(options.out / f"{about['name']}.sbm", about, *tensors)
    write_onnx(options.out / f"{about['name']}.onnx", about, *tensors)
    files = sorted(path for path in options.out.iterdir() if path.suffix in (".sbm", ".onnx"))
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (options.out / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")


if __name__ == "__main__":
    main()
