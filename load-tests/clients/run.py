#!/usr/bin/env python3
"""Runs every client against one gateway and prints the table client × case × result.

    load-tests/clients/run.py [--only WORD] [--wrong] [--port 18100] [--readme]

`--only` takes the programs whose path holds WORD. `--wrong` gives every client wrong answers and demands
that every case fails. `--readme` writes the table into README.md. Exit 1 when a case is not as demanded.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gateway import HERE, KEY, running

# Each leaves rows in the file named by RESULTS.
PROGRAMS = [
    (".venv/bin/python", "python/openai_sdk.py"),
    (".venv/bin/python", "python/anthropic_sdk.py"),
    (".venv/bin/python", "python/langchain_clients.py"),
    (".venv/bin/python", "python/pydantic_ai_client.py"),
    (".venv-litellm/bin/python", "python/litellm_client.py"),
    (".venv/bin/python", "python/google_genai.py"),
    ("node", "node/sdks.mjs"),
    ("node", "node/vercel.mjs"),
    (sys.executable, "agents/agents.py"),
]
LIMIT_SECONDS = 900
# The gateway answers these by itself: no wrong answer of a provider can spoil them.
LOCAL = {"count tokens"}
MARKS = "<!-- measured: begin -->", "<!-- measured: end -->"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument("--port", type=int, default=18100)
    parser.add_argument("--readme", action="store_true")
    wanted = parser.parse_args()

    chosen = [program for program in PROGRAMS if wanted.only in program[1]]
    with running(wanted.port, wanted.wrong) as gateway:
        rows, broken = run_all(chosen, gateway)
    if wanted.wrong:
        rows = [row for row in rows if row["case"] not in LOCAL]
    print(f"\n{table(rows)}\n")
    for row in rows:
        if wanted.wrong and row["passed"]:
            print(f"{row['client']}: {row['case']} over {row['format']} passed with wrong answers")
    for program in broken:
        print(f"{program} did not end by itself with rows of its own")
    passed = sum(row["passed"] for row in rows)
    print(f"{passed} passed, {len(rows) - passed} failed")
    if wanted.readme:
        write_readme(table(rows), f"{passed} passed, {len(rows) - passed} failed")
    as_demanded = passed == 0 if wanted.wrong else passed == len(rows)
    return 0 if rows and not broken and as_demanded else 1


def run_all(programs, gateway):
    """All rows, and the programs that left none or were ended or fell over."""
    rows, broken = [], []
    for interpreter, program in programs:
        with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as results:
            own = HERE / interpreter
            command = [str(own) if own.is_file() else interpreter, str(HERE / program)]
            environment = os.environ | {"GATEWAY": gateway, "KEY": KEY, "RESULTS": results.name}
            try:
                status = subprocess.run(command, env=environment, timeout=LIMIT_SECONDS).returncode
            except subprocess.TimeoutExpired:
                status = None
            found = [json.loads(line) for line in results]
        rows += found
        # Otherwise a program that falls over after its first row would look whole.
        if status != (0 if all(row["passed"] for row in found) else 1) or not found:
            broken.append(program)
    return rows, broken


def table(rows):
    """Markdown: a line for each client, a cell for each case with the formats that failed, or `ok`."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    lines = [f"| client | version | {' | '.join(cases)} |", "|---" * (len(cases) + 2) + "|"]
    for client in dict.fromkeys(row["client"] for row in rows):
        own = [row for row in rows if row["client"] == client]
        cells = [cell([row for row in own if row["case"] == case]) for case in cases]
        lines.append(f"| {client} | {own[0]['version']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(rows):
    if not rows:
        return ""
    failed = [row["format"] for row in rows if not row["passed"]]
    return f"FAILS over {' and '.join(failed)}" if failed else "ok"


def write_readme(measured, count):
    readme = HERE / "README.md"
    text = readme.read_text()
    begin, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    date = datetime.date.today().isoformat()
    readme.write_text(f"{text[:begin]}\n\nMeasured {date}: {count}.\n\n{measured}\n\n{text[end:]}")


if __name__ == "__main__":
    sys.exit(main())
