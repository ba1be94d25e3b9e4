"""The OpenAI and Anthropic Python SDKs against a running gateway.

Environment: BASE_URL (ends in /v1), KEY. Prints one line a check and "N passed, M failed".
"""

import json
import os
import sys
import urllib.request

import anthropic
import openai

BASE_URL = os.environ["BASE_URL"]
KEY = os.environ["KEY"]
QUESTION = [{"role": "user", "content": "Say hello to the gateway"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
client = openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0)
claude = anthropic.Anthropic(base_url=BASE_URL.removesuffix("/v1"), api_key=KEY, max_retries=0)


def chat(model):
    answer = client.chat.completions.create(model=model, messages=QUESTION)
    assert answer.choices[0].message.content, answer
    assert answer.usage.total_tokens > 0, answer.usage


def stream(model):
    chunks = list(
        client.chat.completions.create(
            model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = client.chat.completions.create(model=model, messages=QUESTION).choices[0].message.content
    assert text == whole, (text, whole)
    assert [bool(chunk.usage) for chunk in chunks].count(True) == 1 and chunks[-1].usage, chunks[-1]
    assert chunks[-1].choices == []


def tools(model):
    answer = client.chat.completions.create(model=model, messages=QUESTION, tools=[TOOL])
    message = answer.choices[0].message
    call = message.tool_calls[0]
    assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)
    assert answer.choices[0].finish_reason == "tool_calls"
    history = [
        *QUESTION,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert client.chat.completions.create(model=model, messages=history, tools=[TOOL]).choices[0].message.content


def streamed_tools(model):
    name, arguments = "", ""
    for chunk in client.chat.completions.create(model=model, messages=QUESTION, tools=[TOOL], stream=True):
        for delta in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            name += delta.function.name or ""
            arguments += delta.function.arguments or ""
    assert name == "get_weather" and "city" in json.loads(arguments), (name, arguments)


def embeddings():
    answer = client.embeddings.create(model="demo-embeddings", input=["one", "two"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 8
    assert all(isinstance(number, float) for number in answer.data[0].embedding)


def models():
    names = [model.id for model in client.models.list()]
    assert "demo" in names and "demo-locked" not in names, names
    assert client.models.retrieve("demo").id == "demo"


def raises(kind, call, *words):
    try:
        call()
    except kind as error:
        assert type(error) is kind, type(error)
        assert all(word in str(error) for word in words), str(error)
        return error
    raise AssertionError(f"no {kind.__name__}")


def ask(model, key=KEY):
    return openai.OpenAI(base_url=BASE_URL, api_key=key, max_retries=0).chat.completions.create(
        model=model, messages=QUESTION
    )


def rate_limit():
    error = raises(openai.RateLimitError, lambda: ask("demo-429"))
    assert error.response.headers["retry-after"] == "1", error.response.headers


def message(model):
    answer = claude.messages.create(model=model, max_tokens=100, messages=QUESTION)
    assert answer.content[0].text and answer.usage.output_tokens > 0
    with claude.messages.stream(model=model, max_tokens=100, messages=QUESTION) as events:
        assert events.get_final_text() == answer.content[0].text


def ask_claude(model, key=KEY):
    return anthropic.Anthropic(base_url=BASE_URL.removesuffix("/v1"), api_key=key, max_retries=0).messages.create(
        model=model, max_tokens=10, messages=QUESTION
    )


def header_forms():
    for name, value in [
        ("Authorization", f"Bearer {KEY}"),
        ("x-api-key", KEY),
        ("api-key", KEY),
        ("x-goog-api-key", KEY),
    ]:
        request = urllib.request.Request(f"{BASE_URL}/models", headers={name: value})
        assert urllib.request.urlopen(request, timeout=10).status == 200, name


CHECKS = {
    **{
        f"{check.__name__} {model}": lambda check=check, model=model: check(model)
        for model in ["demo", "demo-claude", "demo-fallback"]
        for check in [chat, stream, tools, streamed_tools]
    },
    "embeddings": embeddings,
    "models": models,
    "wrong key": lambda: raises(openai.AuthenticationError, lambda: ask("demo", "sk-wrong")),
    "model not allowed": lambda: raises(openai.PermissionDeniedError, lambda: ask("demo-locked"), "demo-locked"),
    "unknown model": lambda: raises(openai.NotFoundError, lambda: ask("nope"), "nope", "demo-claude"),
    "empty model": lambda: raises(openai.BadRequestError, lambda: ask(""), "model"),
    "rate limit": rate_limit,
    "messages demo-claude": lambda: message("demo-claude"),
    "messages demo": lambda: message("demo"),
    "anthropic wrong key": lambda: raises(anthropic.AuthenticationError, lambda: ask_claude("demo", "wrong")),
    "anthropic unknown model": lambda: raises(anthropic.NotFoundError, lambda: ask_claude("nope"), "nope"),
    "anthropic not allowed": lambda: raises(anthropic.PermissionDeniedError, lambda: ask_claude("demo-locked")),
    "key header forms": header_forms,
}


def main():
    failed = 0
    for name, check in CHECKS.items():
        try:
            check()
            print(f"ok      {name}")
        except Exception as error:  # a failed check must not hide the others
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
