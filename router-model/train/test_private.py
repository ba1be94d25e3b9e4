"""A private router from a file of labels: `python -m unittest test_private`."""
import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

import numpy as np

import private
from verify import in_the_gateway

EASY = ["greet the customer", "translate this word", "name a colour", "thank them for the order"]
HARD = ["reconcile the ledger accounts", "derive the tax liability", "audit the quarterly statement"]


def labels(count, seed):
    random = np.random.default_rng(seed)
    for at in range(count):
        hard = at % 2 == 1
        task = random.choice(HARD if hard else EASY)
        good = random.random() < (0.2 if hard else 0.95)
        yield {"prompt": f"Please {task}, case {at}.", "scores": {"little": float(good), "big": 1.0 if random.random() < 0.95 else 0.0}}


class Private(unittest.TestCase):
    def test_one_command_makes_a_model_that_tells_hard_work_from_easy(self):
        with tempfile.TemporaryDirectory() as folder:
            file, out, said = Path(folder) / "mine.jsonl", Path(folder) / "out", io.StringIO()
            file.write_text("".join(json.dumps(row) + "\n" for row in labels(400, 7)))
            with contextlib.redirect_stdout(said):
                private.main([str(file), "--out", str(out), "--name", "mine"])
            self.assertIn("little: 400 rows", said.getvalue())
            heads = ["big", "little"]
            told = in_the_gateway(out / "mine.sbm", ["Please audit the quarterly statement, case 7000.",
                                                     "Please name a colour, case 7000."])
            hard, easy = told[:, heads.index("little")]
            self.assertLess(hard, 0.45)
            self.assertGreater(easy, 0.75)
            self.assertGreater(told[0, heads.index("big")], 0.8)

    def test_two_files_of_one_name_are_refused(self):
        with self.assertRaises(SystemExit):
            private.main(["a/mine.jsonl", "b/mine.jsonl"])


if __name__ == "__main__":
    unittest.main()
