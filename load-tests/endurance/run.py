#!/usr/bin/env python3
"""Runs that prove that nothing is lost: run.py NAME..., each with a gateway and mock providers of its own.

    flapping   a primary is down for a minute       overload   five times what a model can do
    upgrades   100 hand-overs, 100 reloads          idle       10,000 idle connections, 500 slow readers
    tail       hedging against a slow tail          herd       1,000 identical requests at once

Prints a JSON line of figures for each and fails when one does not hold. BINARIES names another folder of programs."""

import asyncio
import importlib
import json
import sys

NAMES = ["flapping", "overload", "upgrades", "idle", "tail", "herd"]


def main():
    names = sys.argv[1:] or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        raise SystemExit(f"unknown: {', '.join(unknown)}\n\n{__doc__}")
    held = True
    for name in names:
        figures, good, examples = asyncio.run(importlib.import_module(name).run())
        print(json.dumps({"run": name, "holds": good, **figures}), flush=True)
        for example in examples:
            print(f"  {example}", flush=True)
        held &= good
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    main()
