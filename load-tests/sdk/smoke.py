"""Drives a running `signalbox demo` with the OpenAI and Anthropic Python SDKs.

    .venv/bin/python load-tests/sdk/smoke.py http://127.0.0.1:8080/v1 sk-demo-signalbox

Prints one line per check and closes each suite with `N passed, M failed`; exits 1 when any check failed.
"""

import sys

from anthropic_checks import AnthropicChecks
from cache_checks import CacheChecks
from key_checks import KeyChecks
from openai_checks import OpenAiChecks
from suite import Suite, target


def main():
    base_url, key = target()
    exit_code = 0
    for name, checks in [
        ("openai python", OpenAiChecks),
        ("anthropic python", AnthropicChecks),
        ("cache python", CacheChecks),
        ("key headers", KeyChecks),
    ]:
        suite = Suite(name)
        checks(base_url, key).run(suite)
        exit_code |= suite.finish()
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
