"""The cases every Python client must pass, and the row that each leaves. Knows no client.

A client is a class with `name`, `package`, `stop` and `tool_stop` (its words for why an answer ended),
`limit_error` (the name of its exception's class for a 429) and four calls:

    chat(model, stream)    one answer to PROMPT, as an Answer
    tool(model, stream)    asks CITY with the weather tool and answers its calls; both Answers
    limited(model)         one plain request that must raise `limit_error`
    formats                what to run over, when not FORMATS (optional)
    extras()               more cases by name, each a function of the model (optional)
"""

import importlib.metadata
import json
import os
import sys
import traceback
from dataclasses import dataclass, field

PROMPT = "Signals guard the line between two stations"
SYSTEM = "Be brief."
CITY = "Oslo"
WEATHER = "4 degrees, rain"
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
# The wire formats behind the gateway: models are named FORMAT, FORMAT-two-calls and FORMAT-limited.
FORMATS = ["openai", "anthropic"]
# OpenAI itself gets requests of the responses format unchanged; a compatible provider has chat only.
RESPONSES_FORMATS = ["compatible", "anthropic"]


@dataclass
class Call:
    id: str
    name: str
    arguments: dict


@dataclass
class Answer:
    text: str = ""
    # The text as it was streamed; empty for a whole answer.
    pieces: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    stop: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


def run(*clients):
    """Runs each client's cases over each format. Ends the process, with 1 when a case failed."""
    failed = 0
    with open(os.environ["RESULTS"], "a") as results:
        for client in clients:
            for case, action in cases(client):
                for form in getattr(client, "formats", FORMATS):
                    failed += not leave_row(results, client, case, form, action)
    sys.exit(failed > 0)


def cases(client):
    yield "chat", lambda form: chat(client, form, stream=False)
    yield "stream", lambda form: chat(client, form, stream=True)
    yield "tool", lambda form: tool(client, form, 1, stream=False)
    yield "streamed tool", lambda form: tool(client, form, 1, stream=True)
    yield "two calls", lambda form: tool(client, f"{form}-two-calls", 2, stream=False)
    yield "streamed two calls", lambda form: tool(client, f"{form}-two-calls", 2, stream=True)
    yield "429", lambda form: limited(client, f"{form}-limited")
    yield from getattr(client, "extras", dict)().items()


def leave_row(results, client, case, form, action):
    try:
        action(form)
        why = ""
    except Exception as error:  # every failure counts, whatever its class
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = " ".join(str(error).split())[:500]
        why = f"{type(error).__name__}: {message} ({os.path.basename(place.filename)}:{place.lineno})"
    row = {
        "client": client.name,
        "version": f"{client.package} {importlib.metadata.version(client.package)}",
        "case": case,
        "format": form,
        "passed": not why,
        "why": why,
    }
    results.write(json.dumps(row) + "\n")
    results.flush()
    print(f"{'FAILED' if why else 'ok    '} {client.name}: {case} over {form}{': ' + why if why else ''}", flush=True)
    return not why


def chat(client, model, stream):
    answer = client.chat(model, stream)
    equal(answer.text, PROMPT, "the mock's echo")
    equal(answer.calls, [], "tool calls nobody asked for")
    equal(answer.stop, client.stop, "the reason to stop")
    check_usage(answer)
    if stream:
        holds(len(answer.pieces) > 1, f"the text came in one piece: {answer.pieces}")
        equal("".join(answer.pieces), PROMPT, "the pieces")


def tool(client, model, count, stream):
    asked, final = client.tool(model, stream)
    expected = [("weather", {"city": CITY, "days": 1})] * count
    equal([(call.name, call.arguments) for call in asked.calls], expected, "the calls")
    equal(len({call.id for call in asked.calls} - {None, ""}), count, "different ids")
    equal(asked.stop, client.tool_stop, "the reason to stop for a tool")
    check_usage(asked)
    equal((final.text, final.calls), (CITY, []), "the echo after the tool's result")
    equal(final.stop, client.stop, "the reason to stop after the tool's result")


def limited(client, model):
    try:
        client.limited(model)
    except Exception as error:
        classes = [known.__name__ for known in type(error).__mro__]
        holds(client.limit_error in classes, f"raised {classes}, expected {client.limit_error}")
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        equal(status, 429, "the exception's status")
        return
    raise AssertionError(f"no {client.limit_error} was raised")


def check_usage(answer):
    holds(answer.prompt_tokens > 0 and answer.completion_tokens > 0, f"usage is missing: {answer}")


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: found {found!r}, expected {expected!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def target():
    """The gateway's address without a path, and the key."""
    return os.environ["GATEWAY"], os.environ["KEY"]
