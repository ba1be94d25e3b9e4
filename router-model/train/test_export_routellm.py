"""RouteLLM's modules with random weights, written as checkpoints and exported: ONNX Runtime and PyTorch must agree.

    python -m unittest test_export_routellm
"""
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file
from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

import export_routellm as routellm

# All of XLM-RoBERTa base but its vocabulary, whose 250,002 rows differ in nothing but their number.
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "max_position_embeddings": 514, "type_vocab_size": 1, "vocab_size": 2_000, "num_labels": 3,
        # Four times the usual spread: untrained, the usual one gives every text the same score.
        "initializer_range": 0.08}


class Factorisation(torch.nn.Module):
    """The shape of RouteLLM's: a row a model, a projection of the text, a classifier of their product."""

    def __init__(self, dimensions=128, models=64, text=1536):
        super().__init__()
        self.P = torch.nn.Embedding(models, dimensions)
        self.text_proj = torch.nn.Sequential(torch.nn.Linear(text, dimensions, bias=False))
        self.classifier = torch.nn.Sequential(torch.nn.Linear(dimensions, 1, bias=False))
        torch.nn.init.normal_(self.classifier[0].weight)

    def win_rate(self, strong, weak, embedding):
        models = torch.nn.functional.normalize(self.P(torch.tensor([strong, weak])), p=2, dim=1)
        logits = self.classifier(models * self.text_proj(embedding)).squeeze()
        return torch.sigmoid(logits[0] - logits[1]).item()


def win(quality):
    weak, strong = quality[0]
    return (1 + strong - weak) / 2


class Export(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(7)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_model(self, **inputs):
        return onnxruntime.InferenceSession(self.folder / "model.onnx").run(None, inputs)[0]

    def test_a_factorisation_gives_the_win_rates_of_pytorch(self):
        module = Factorisation().eval()
        save_file(module.state_dict(), self.folder / "model.safetensors")
        kept = routellm.weights(self.folder)
        seen = []
        for strong, weak in ((24, 36), (21, 5)):
            routellm.export_mf(kept, strong, weak, self.folder / "model.onnx", "routellm-mf")
            for _ in range(20):
                embedding = torch.nn.functional.normalize(torch.randn(1536), dim=0) * 30
                seen.append(win(self.run_model(embedding=embedding.numpy())))
                self.assertAlmostEqual(seen[-1], module.win_rate(strong, weak, embedding), places=5)
        self.assertGreater(np.std(seen), 0.01)

    def test_a_pickled_checkpoint_is_read_too(self):
        module = Factorisation().eval()
        torch.save(module.state_dict(), self.folder / "pytorch_model.bin")
        self.assertEqual(set(routellm.weights(self.folder)), set(module.state_dict()))

    def test_a_checkpoint_of_something_else_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "P.weight"):
            routellm.direction({"weight": torch.zeros(1)}, 0, 1)
        with self.assertRaisesRegex(SystemExit, "0 to 63"):
            routellm.direction(Factorisation().state_dict(), 64, 1)

    def test_a_bert_gives_the_win_rates_of_pytorch_at_every_length(self):
        random = XLMRobertaForSequenceClassification(XLMRobertaConfig(**BASE)).eval()
        random.save_pretrained(self.folder / "checkpoint")
        module = routellm.load_bert(self.folder / "checkpoint").eval()
        routellm.export_bert(module, self.folder / "model.onnx", "routellm-bert")
        seen = []
        for length in (3, 16, 200, 512):
            ids = torch.randint(4, BASE["vocab_size"], (1, length))
            with torch.no_grad():
                parts = random(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.softmax(-1)[0]
            # As RouteLLM scores: one less the parts of a tie and of a win of the weak one.
            expected = 1 - float(parts[1] + parts[2])
            seen.append(win(self.run_model(input_ids=ids.numpy(), attention_mask=np.ones((1, length), dtype=np.int64))))
            self.assertAlmostEqual(seen[-1], expected, delta=2e-4)
        self.assertGreater(np.std(seen), 1e-3)

    def test_a_bert_with_other_labels_is_refused(self):
        small = XLMRobertaConfig(**{**BASE, "num_hidden_layers": 1, "num_labels": 2})
        XLMRobertaForSequenceClassification(small).save_pretrained(self.folder)
        with self.assertRaisesRegex(SystemExit, "3 labels"):
            routellm.load_bert(self.folder)


if __name__ == "__main__":
    unittest.main()
