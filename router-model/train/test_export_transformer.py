"""The transformer with random heads and weights, exported: ONNX Runtime with 8 bits and PyTorch must agree for every length.

    python -m unittest test_export_transformer
"""
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from transformers import BertConfig

from export_transformer import apart, export
from finetune import Router, TOKENS, padded

# All of MiniLM-L6 but its vocabulary, whose 30,522 rows differ in nothing but their number.
SHAPE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536, "vocab_size": 2_000,
         "initializer_range": 0.05, "attn_implementation": "eager"}


class Export(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.manual_seed(7)
        torch.set_num_threads(1)
        cls.router = Router(BertConfig(**SHAPE), 11)
        torch.nn.init.normal_(cls.router.heads.weight, std=0.1)
        random = np.random.default_rng(7)
        cls.tokens = [random.integers(1, 2_000, length) for length in (1, 2, 17, 64, TOKENS)]
        # In the middle of the sigmoid, where a difference shows.
        with torch.no_grad():
            cls.router.eval().heads.bias -= cls.router(*padded(cls.tokens)).mean(0)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.path = Path(folder.name) / "model.onnx"
        export(cls.router, cls.path)

    def test_eight_bits_agree_with_pytorch_for_every_length(self):
        moved = apart(self.router, self.path, self.tokens)
        self.assertEqual(moved.shape, (len(self.tokens), 11))
        self.assertLess(moved.max(), 0.05)
        self.assertLess(moved.mean(), 0.02)

    def test_texts_are_told_apart(self):
        # Else the test above would hold for a model that says the same of everything.
        session = onnxruntime.InferenceSession(str(self.path))
        ids, mask = padded(self.tokens)
        found = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
        self.assertGreater(found.std(0).min(), 0.02)

    def test_padding_changes_little_beside_a_longer_text(self):
        session = onnxruntime.InferenceSession(str(self.path))
        ids, mask = padded(self.tokens)
        together = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
        ids, mask = padded(self.tokens[2:3])
        alone = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
        self.assertLess(np.abs(together[2] - alone[0]).max(), 0.05)

    def test_the_interface_is_what_the_gateway_reads(self):
        graph = onnx.load(str(self.path)).graph
        self.assertEqual([entry.name for entry in graph.input], ["input_ids", "attention_mask"])
        self.assertEqual([entry.name for entry in graph.output], ["probabilities"])
        self.assertLess(self.path.stat().st_size, 25e6)


if __name__ == "__main__":
    unittest.main()
