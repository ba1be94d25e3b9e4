"""What Python makes of some texts with MiniLM in int8: the vectors that router-model/tests/encoder.rs compares with.

    pip install numpy onnxruntime==1.31.1 tokenizers==0.23.1
    ../../scripts/fetch-minilm ../../target/minilm
    python minilm_vectors.py ../../target/minilm > ../tests/minilm.json

One text a run and no padding: an int8 model rounds by what else is in a batch.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime
import tokenizers

MAX_TOKENS = 128
TEXTS = [
    "How many people live in Peru?",
    "what's Peru's population, please",
    "",
    "Naïve CAFÉ in Zürich — 42,5 % of O'Reilly's e-mail!",
    "def f(x):\n\treturn x ** 2  # squares",
    "今日は天気がいい",
    "Привет, как дела? 🤔",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "   many \u00a0 spaces\u200b and\x07controls ",
    "The quick brown fox jumps over the lazy dog, and then it does so again. " * 40,
]


def main():
    folder = pathlib.Path(sys.argv[1])
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    rows = []
    for text in TEXTS:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, {name: value for name, value in feeds.items() if name in wanted})[0]
        mean = hidden[0].mean(0)
        vector = mean / np.linalg.norm(mean)
        rows.append({"text": text, "vector": [round(float(value), 5) for value in vector]})
    print("[" + ",\n".join(json.dumps(row) for row in rows) + "]")


main()
