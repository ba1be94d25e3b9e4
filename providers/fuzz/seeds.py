#!/usr/bin/env python3
"""Writes the seeds of one decoder into a folder: the golden cases, and recorded traffic where it is at hand.

    seeds.py requests|answers|streams DECODER FOLDER

Each seed is one choice byte and the body, see fuzz_targets/.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

PROVIDERS = Path(__file__).resolve().parent.parent
GOLDEN = PROVIDERS / "tests/golden"
RECORDINGS = PROVIDERS.parent.parent / "shared/fixtures"
LARGEST = 64 * 1024

PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "messages": "/messages",
    "responses": "/responses",
    "gemini": ":generateContent",
}
# What a recording's address ends with tells the format of its answer.
ANSWERS = {
    "openai": ("/completions", "/embeddings"),
    "anthropic": ("/messages", "/count_tokens"),
    "responses": ("/responses",),
    "gemini": ("enerateContent", "ountTokens", "enerateContent?alt=sse"),
    "bedrock": ("/converse", "/converse-stream"),
    "cohere": ("/v2/chat",),
}


def golden(kind, decoder):
    if kind == "streams":
        return [file.read_bytes() for file in (GOLDEN / kind).glob("*.sse")]
    seeds = []
    for file in (GOLDEN / kind).glob("*.json"):
        case = json.loads(file.read_text())
        if kind == "requests" and PATHS[decoder] in case["operation"]:
            seeds.append(json.dumps(case["client"]).encode())
        if kind == "answers" and file.name.startswith(decoder):
            seeds.append(json.dumps(case["upstream"]).encode())
    return seeds


def body(kind, recording):
    if kind == "requests":
        body = recording["request"].get("body")
        return json.dumps(body).encode() if isinstance(body, dict) else None
    if kind == "answers":
        answer = recording.get("response_body")
        return json.dumps(answer).encode() if answer is not None else None
    if "sse_lines" in recording:
        return "\n".join(recording["sse_lines"]).encode()
    encoded = recording.get("response_body_base64")
    return base64.b64decode(encoded) if encoded else None


def recorded(kind, decoder):
    endings = (PATHS[decoder],) if kind == "requests" else ANSWERS[decoder]
    for file in RECORDINGS.glob("*/*.json"):
        recording = json.loads(file.read_text())
        if recording["request"]["url"].endswith(endings) and (seed := body(kind, recording)):
            yield seed


def main():
    kind, decoder, folder = sys.argv[1:]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for seed in [*golden(kind, decoder), *recorded(kind, decoder)]:
        if len(seed) < LARGEST:
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(b"\x10" + seed)


main()
