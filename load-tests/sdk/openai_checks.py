"""What the OpenAI Python SDK must be able to do through the gateway."""

import json

import openai

from suite import equal, holds, raised

PROMPT = "Signals guard the line between two stations"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
# One model for each wire format behind the same API.
MODELS = ["demo", "demo-claude", "demo-fallback"]


def user(text):
    return [{"role": "user", "content": text}]


class OpenAiChecks:
    def __init__(self, base_url, key):
        self.base_url = base_url
        self.client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=30)

    def run(self, suite):
        for model in MODELS:
            suite.check(f"chat with {model}", self.chat, model)
            suite.check(f"stream with usage from {model}", self.stream, model)
            suite.check(f"stream without usage from {model}", self.stream_without_usage, model)
            suite.check(f"tool call and its result with {model}", self.tool, model)
            suite.check(f"streamed tool call with {model}", self.streamed_tool, model)
        suite.check("fallback to the other wire format is told in the headers", self.fallback_headers)
        suite.check("embeddings in the SDK's default encoding", self.embeddings)
        suite.check("models list", self.models)
        suite.check("one model", self.model)
        suite.check("AuthenticationError for a wrong key", self.wrong_key)
        suite.check("PermissionDeniedError for a model the key may not use", self.locked)
        suite.check("NotFoundError for an unknown model, with the known names", self.unknown_model)
        suite.check("NotFoundError for an unknown model's card", self.unknown_card)
        suite.check("BadRequestError for a missing model", self.missing_model)
        suite.check("BadRequestError for a malformed body, with its position", self.malformed)
        suite.check("RateLimitError with retry-after", self.rate_limited)

    def text(self, model):
        return self.client.chat.completions.create(model=model, messages=user(PROMPT)).choices[0].message.content

    def chat(self, model):
        answer = self.client.chat.completions.create(
            model=model, messages=[{"role": "system", "content": "Be brief."}, *user(PROMPT)], temperature=0.2
        )
        choice = answer.choices[0]
        equal(answer.object, "chat.completion", "object")
        equal(choice.message.role, "assistant", "role")
        equal(choice.message.content, PROMPT, "the echo of the mock upstream")
        equal(choice.finish_reason, "stop", "finish_reason")
        usage = answer.usage
        holds(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"usage is {usage}")
        equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total_tokens")

    def stream(self, model):
        chunks = list(
            self.client.chat.completions.create(
                model=model, messages=user(PROMPT), stream=True, stream_options={"include_usage": True}
            )
        )
        pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        holds(len([piece for piece in pieces if piece]) > 1, f"the text came in one piece: {pieces}")
        equal("".join(pieces), self.text(model), "the streamed text")
        finished = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        equal(finished, ["stop"], "finish_reason")
        counted = [index for index, chunk in enumerate(chunks) if chunk.usage is not None]
        equal(counted, [len(chunks) - 1], "the places of usage chunks")
        equal(chunks[-1].choices, [], "the choices of the usage chunk")
        usage = chunks[-1].usage
        holds(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"usage is {usage}")
        equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total_tokens")
        equal(len({chunk.id for chunk in chunks}), 1, "the number of ids in one stream")

    def stream_without_usage(self, model):
        chunks = list(self.client.chat.completions.create(model=model, messages=user(PROMPT), stream=True))
        holds(len(chunks) > 2, f"only {len(chunks)} chunks")
        equal([chunk for chunk in chunks if chunk.usage is not None], [], "chunks with usage")

    def tool(self, model):
        messages = user("Oslo")
        answer = self.client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
        choice = answer.choices[0]
        equal(choice.finish_reason, "tool_calls", "finish_reason")
        equal(len(choice.message.tool_calls), 1, "tool calls")
        call = choice.message.tool_calls[0]
        equal((call.type, call.function.name), ("function", "weather"), "the tool")
        equal(json.loads(call.function.arguments), {"city": "Oslo", "days": 1}, "the arguments")
        messages += [
            choice.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "4 degrees, rain"},
        ]
        answer = self.client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
        equal(answer.choices[0].finish_reason, "stop", "finish_reason after the tool's result")
        holds(answer.choices[0].message.content, "no text after the tool's result")

    def streamed_tool(self, model):
        stream = self.client.chat.completions.create(model=model, messages=user("Oslo"), tools=[WEATHER], stream=True)
        name, arguments, identity, finished, pieces = "", "", set(), [], 0
        for chunk in stream:
            for choice in chunk.choices:
                if choice.finish_reason:
                    finished.append(choice.finish_reason)
                for call in choice.delta.tool_calls or []:
                    equal(call.index, 0, "the call's index")
                    identity |= {call.id} - {None}
                    name += call.function.name or ""
                    arguments += call.function.arguments or ""
                    pieces += 1
        equal(name, "weather", "the tool")
        equal(json.loads(arguments), {"city": "Oslo", "days": 1}, "the arguments")
        equal((len(identity), finished), (1, ["tool_calls"]), "ids and finish_reason")
        holds(pieces > 1, "the arguments came in one piece")

    def fallback_headers(self):
        answer = self.client.chat.completions.with_raw_response.create(model="demo-fallback", messages=user(PROMPT))
        equal(answer.headers["x-signalbox-deployment"], "mock-claude/demo-claude", "x-signalbox-deployment")
        equal(answer.headers["x-signalbox-model"], "demo-fallback", "x-signalbox-model")
        holds(answer.headers["x-request-id"], "no x-request-id")

    def embeddings(self):
        texts = ["a signal at danger", "a signal at clear"]
        decoded = self.client.embeddings.create(model="demo-embeddings", input=texts)
        plain = self.client.embeddings.create(model="demo-embeddings", input=texts, encoding_format="float")
        equal([item.index for item in decoded.data], [0, 1], "the order")
        for one, other in zip(decoded.data, plain.data, strict=True):
            equal(len(one.embedding), 1536, "the length")
            distance = max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True))
            holds(distance < 1e-6, f"base64 and plain floats differ by {distance}")
        holds(decoded.data[0].embedding != decoded.data[1].embedding, "two texts have one vector")
        holds(decoded.usage.prompt_tokens > 0, "no usage")

    def models(self):
        names = [model.id for model in self.client.models.list()]
        holds({"demo", "demo-claude", "demo-fallback"} <= set(names), f"models are {names}")
        holds("demo-locked" not in names, "a model is listed that the key may not use")

    def model(self):
        card = self.client.models.retrieve("demo")
        equal((card.id, card.object), ("demo", "model"), "the model")

    def wrong_key(self):
        stranger = self.client.with_options(api_key="sk-not-known")
        error = raised(openai.AuthenticationError, lambda: stranger.models.list())
        equal((error.status_code, error.code), (401, "invalid_api_key"), "status and code")

    def locked(self):
        error = raised(openai.PermissionDeniedError, lambda: self.text("demo-locked"))
        equal(error.status_code, 403, "status")
        holds("demo-locked" in error.message, f"the message names no model: {error.message}")

    def unknown_model(self):
        error = raised(openai.NotFoundError, lambda: self.text("no-such-model"))
        equal((error.status_code, error.code, error.param), (404, "model_not_found", "model"), "status, code, param")
        holds("demo-claude" in error.message, f"the message names no known model: {error.message}")
        holds("demo-locked" not in error.message, "the message names a model the key may not use")

    def unknown_card(self):
        equal(raised(openai.NotFoundError, lambda: self.client.models.retrieve("nope")).status_code, 404, "status")

    def missing_model(self):
        body = {"messages": user(PROMPT)}
        error = raised(
            openai.BadRequestError, lambda: self.client.post("/chat/completions", body=body, cast_to=object)
        )
        holds("model" in error.message, f"the message does not say what is missing: {error.message}")

    def malformed(self):
        content = b'{"model": "demo", "messages": [}'
        error = raised(
            openai.BadRequestError,
            lambda: self.client.post(
                "/chat/completions",
                content=content,
                cast_to=object,
                options={"headers": {"content-type": "application/json"}},
            ),
        )
        holds("column 32" in error.message, f"the message gives no position: {error.message}")

    def rate_limited(self):
        error = raised(openai.RateLimitError, lambda: self.text("demo-429"))
        equal(error.status_code, 429, "status")
        equal(error.response.headers.get("retry-after"), "1", "retry-after")
