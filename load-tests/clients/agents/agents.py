#!/usr/bin/env python3
"""Each coding agent writes one file through the gateway, as the scripted provider tells it.

An agent passes when it ends by itself with 0, the file holds exactly the script's content, and the script's
last text was printed, which the provider sends only after the tool's result (to aider at once).
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import script

GATEWAY, KEY = os.environ["GATEWAY"], os.environ["KEY"]
HERE = Path(__file__).resolve().parent
NODE = HERE / "node_modules/.bin"
AIDER = HERE.parent / ".venv-aider/bin/aider"
LIMIT_SECONDS = 120


def claude_code(model, folder, prompt):
    environment = {
        "ANTHROPIC_BASE_URL": GATEWAY,
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    return [NODE / "claude", "-p", prompt, "--permission-mode", "acceptEdits"], environment


def codex(model, folder, prompt):
    home = folder.parent / "home"
    (home / "config.toml").write_text(
        f'model = "{model}"\nmodel_provider = "signalbox"\n[model_providers.signalbox]\nname = "Signalbox"\n'
        f'base_url = "{GATEWAY}/v1"\nenv_key = "SIGNALBOX_KEY"\nwire_api = "responses"\n'
    )
    # Its sandbox needs what a container seldom grants; the folder is ours and temporary.
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return [NODE / "codex", "exec", *flags, "-C", folder, prompt], {"CODEX_HOME": home, "SIGNALBOX_KEY": KEY}


def opencode(package):
    def command(model, folder, prompt):
        # Only this provider: its own list of models is fetched from the network.
        provider = {"npm": package, "options": {"baseURL": f"{GATEWAY}/v1", "apiKey": KEY}, "models": {model: {}}}
        settings = {"provider": {"signalbox": provider}, "permission": {"edit": "allow"}, "autoupdate": False}
        (folder / "opencode.json").write_text(json.dumps(settings))
        environment = {"OPENCODE_DISABLE_MODELS_FETCH": "1"}
        return [NODE / "opencode", "run", "--model", f"signalbox/{model}", prompt], environment

    return command


def aider(prefix, *more):
    def command(model, folder, prompt):
        environment = {
            "OPENAI_API_BASE": f"{GATEWAY}/v1",
            "OPENAI_API_KEY": KEY,
            "ANTHROPIC_API_BASE": GATEWAY,
            "ANTHROPIC_API_KEY": KEY,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        quiet = ["--no-git", "--no-analytics", "--no-check-update", "--no-show-model-warnings", "--no-show-release-notes"]
        name = f"{prefix}/{model}"
        models = ["--model", name, "--weak-model", name, "--edit-format", "whole"]
        return [AIDER, *quiet, *models, *more, "--yes-always", "--message", prompt], environment

    return command


# Name, the flags that print its version, and how it is started.
AGENTS = [
    ("Claude Code", "writes a file", [NODE / "claude"], claude_code),
    ("Codex CLI", "writes a file", [NODE / "codex"], codex),
    ("opencode, OpenAI", "writes a file", [NODE / "opencode"], opencode("@ai-sdk/openai-compatible")),
    ("opencode, Anthropic", "writes a file", [NODE / "opencode"], opencode("@ai-sdk/anthropic")),
    ("aider, OpenAI", "writes a file", [AIDER], aider("openai")),
    ("aider, OpenAI", "writes a file, not streamed", [AIDER], aider("openai", "--no-stream")),
    ("aider, Anthropic", "writes a file", [AIDER], aider("anthropic")),
    ("aider, Anthropic", "writes a file, not streamed", [AIDER], aider("anthropic", "--no-stream")),
]


def main():
    failed = 0
    with open(os.environ["RESULTS"], "a") as results:
        for name, case, program, command in AGENTS:
            printed = subprocess.run([*program, "--version"], capture_output=True, text=True, timeout=60).stdout
            version = next(word for word in printed.split() if word[0].isdigit())
            # Codex speaks the responses format, which OpenAI itself would get unchanged.
            for form in ["compatible" if command is codex else "openai", "anthropic"]:
                why = attempt(command, f"agent-{form}")
                failed += bool(why)
                row = {"client": name, "version": version, "case": case, "format": form}
                results.write(json.dumps(row | {"passed": not why, "why": why}) + "\n")
                results.flush()
                said = f"{name}: {case} over {form}"
                print(f"FAILED {said}: {why}" if why else f"ok     {said}", flush=True)
    return 1 if failed else 0


def attempt(command, model):
    """Why the agent failed, or nothing."""
    with tempfile.TemporaryDirectory(prefix="signalbox-agent-", ignore_cleanup_errors=True) as place:
        folder, home = Path(place) / "work", Path(place) / "home"
        folder.mkdir()
        home.mkdir()
        target = folder / "signal.txt"
        words, environment = command(model, folder, script.prompt(target))
        # Nothing of the caller's own settings and keys.
        environment |= {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1"}
        try:
            ended = subprocess.run(
                [str(word) for word in words],
                cwd=folder,
                env={name: str(value) for name, value in environment.items()},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
            )
        except subprocess.TimeoutExpired as late:
            return f"still running after {LIMIT_SECONDS} s: {tail(late.stdout, late.stderr)}"
        said = tail(ended.stdout, ended.stderr)
        if ended.returncode != 0:
            return f"ended with {ended.returncode}: {said}"
        if not target.exists():
            return f"wrote no file: {said}"
        found = target.read_text()
        if found != script.CONTENT:
            return f"wrote {found!r}, expected {script.CONTENT!r}"
        return "" if script.FINAL in ended.stdout else f"did not print the last text: {said}"


def tail(*outputs):
    """The last of what it printed, without keys."""
    texts = [output.decode(errors="replace") if isinstance(output, bytes) else output or "" for output in outputs]
    return " ".join(" ".join(texts).split())[-600:].replace(KEY, "<key>")


if __name__ == "__main__":
    sys.exit(main())
