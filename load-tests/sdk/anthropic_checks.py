"""What the Anthropic Python SDK must be able to do through the gateway."""

import anthropic

from suite import equal, holds, raised

PROMPT = "Signals guard the line between two stations"
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
# `demo-claude` has the client's own wire format, `demo` that of OpenAI.
MODELS = ["demo-claude", "demo"]


class AnthropicChecks:
    def __init__(self, base_url, key):
        # The SDK adds /v1 by itself.
        self.client = anthropic.Anthropic(
            base_url=base_url.removesuffix("/v1"), api_key=key, max_retries=0, timeout=30
        )

    def run(self, suite):
        for model in MODELS:
            suite.check(f"message from {model}", self.message, model)
            suite.check(f"stream from {model}", self.stream, model)
            suite.check(f"tool use and its result with {model}", self.tool, model)
            suite.check(f"streamed tool use with {model}", self.streamed_tool, model)
        suite.check("models list", self.models)
        suite.check("AuthenticationError for a wrong key", self.wrong_key)
        suite.check("PermissionDeniedError for a model the key may not use", self.locked)
        suite.check("NotFoundError for an unknown model, with the known names", self.unknown_model)
        suite.check("BadRequestError for a missing model", self.missing_model)
        suite.check("RateLimitError with retry-after", self.rate_limited)

    def create(self, model, text=PROMPT, **more):
        messages = [{"role": "user", "content": text}]
        return self.client.messages.create(model=model, max_tokens=200, messages=messages, **more)

    def message(self, model):
        answer = self.create(model, system="Be brief.")
        equal((answer.type, answer.role, answer.stop_reason), ("message", "assistant", "end_turn"), "the message")
        equal([block.type for block in answer.content], ["text"], "the blocks")
        equal(answer.content[0].text, PROMPT, "the echo of the mock upstream")
        holds(answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, f"usage is {answer.usage}")

    def stream(self, model):
        messages = [{"role": "user", "content": PROMPT}]
        with self.client.messages.stream(model=model, max_tokens=200, messages=messages) as stream:
            pieces = list(stream.text_stream)
            answer = stream.get_final_message()
        holds(len(pieces) > 1, f"the text came in one piece: {pieces}")
        equal("".join(pieces), PROMPT, "the streamed text")
        equal((answer.content[0].text, answer.stop_reason), (PROMPT, "end_turn"), "the joined message")
        holds(answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, f"usage is {answer.usage}")

    def tool(self, model):
        answer = self.create(model, "Oslo", tools=[WEATHER])
        equal(answer.stop_reason, "tool_use", "stop_reason")
        uses = [block for block in answer.content if block.type == "tool_use"]
        equal([(use.name, use.input) for use in uses], [("weather", {"city": "Oslo", "days": 1})], "the tool use")
        messages = [
            {"role": "user", "content": "Oslo"},
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": uses[0].id, "content": "4 degrees, rain"}],
            },
        ]
        answer = self.client.messages.create(model=model, max_tokens=200, messages=messages, tools=[WEATHER])
        equal(answer.stop_reason, "end_turn", "stop_reason after the tool's result")
        holds(answer.content[0].text, "no text after the tool's result")

    def streamed_tool(self, model):
        messages = [{"role": "user", "content": "Oslo"}]
        with self.client.messages.stream(model=model, max_tokens=200, messages=messages, tools=[WEATHER]) as stream:
            answer = stream.get_final_message()
        uses = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
        equal(uses, [("weather", {"city": "Oslo", "days": 1})], "the tool use")
        equal(answer.stop_reason, "tool_use", "stop_reason")

    def models(self):
        names = [model.id for model in self.client.models.list()]
        holds({"demo", "demo-claude"} <= set(names), f"models are {names}")

    def wrong_key(self):
        stranger = self.client.with_options(api_key="sk-not-known")
        call = lambda: stranger.messages.create(  # noqa: E731
            model="demo", max_tokens=9, messages=[{"role": "user", "content": PROMPT}]
        )
        self.envelope(raised(anthropic.AuthenticationError, call), 401, "authentication_error")

    def locked(self):
        error = raised(anthropic.PermissionDeniedError, lambda: self.create("demo-locked"))
        self.envelope(error, 403, "permission_error")

    def unknown_model(self):
        error = raised(anthropic.NotFoundError, lambda: self.create("no-such-model"))
        self.envelope(error, 404, "not_found_error")
        holds("demo-claude" in error.message, f"the message names no known model: {error.message}")

    def missing_model(self):
        body = {"max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
        error = raised(
            anthropic.BadRequestError, lambda: self.client.post("/v1/messages", body=body, cast_to=object)
        )
        self.envelope(error, 400, "invalid_request_error")

    def rate_limited(self):
        error = raised(anthropic.RateLimitError, lambda: self.create("demo-429"))
        self.envelope(error, 429, "rate_limit_error")
        equal(error.response.headers.get("retry-after"), "1", "retry-after")

    def envelope(self, error, status, kind):
        """Anthropic's own envelope, with the id under which the request is found in the log."""
        equal((error.status_code, error.body["type"], error.body["error"]["type"]), (status, "error", kind), "error")
        equal(error.body["request_id"], error.response.headers["request-id"], "request_id")
