"""A client with the OpenAI SDK (and once the Anthropic one), Signalbox, the peer, the mock: in that order."""

import json
import sys
import threading

import anthropic
import httpx2
import openai

from peers import HERE

sys.path.insert(0, str(HERE.parent / "sdk"))
from suite import equal, holds  # noqa: E402

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
ARGUMENTS = {"city": "Oslo", "days": 1}


def run(table, peer, values, mock, server):
    """Every case for this peer. The last ones kill it."""
    through = Through(peer, values, mock)

    def check(case, action, **more):
        table.check(case, peer, action, **more)

    check("chat", through.chat)
    check("chat, Anthropic client", through.message)
    check("streamed chat with usage", through.stream)
    check("streamed chat without usage", through.stream_without_usage)
    check("streamed chat, Anthropic client", through.message_stream)
    check("tool call and its result", through.tool)
    check("streamed tool call", through.streamed_tool)
    check("two parallel tool calls, streamed", through.parallel_tools)
    if peer.name == "optillm":
        check("re2: chat", through.re2)
        check("re2: streamed chat", through.re2_stream)
        check("re2: chat, Anthropic client", through.re2_message)
        check("best of 2: chat", through.best_of_2)
    check("embeddings", through.embeddings if peer.vectors else through.no_embeddings, needs_mock=peer.vectors)
    check("its own error", through.unknown, needs_mock=False)
    check("its own error, Anthropic client", through.unknown_message, needs_mock=False)
    check("the upstream's 404", through.missing)
    check("the upstream's 429", through.limited)
    check("the upstream's 429, Anthropic client", through.limited_message)
    check("two deployments share the load", through.shared)
    check("killed in an answer: no clean end", lambda: through.cut(server), needs_mock=peer.streams)
    check("then: second deployment", through.shared_without_peer)
    check("then: fallback, chat", through.fallback)
    check("then: fallback, streamed", through.fallback_stream)


def user(text):
    return [{"role": "user", "content": text}]


def joined_calls(chunks):
    """The streamed tool calls by index: id, name, arguments."""
    calls = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                identity, name, arguments = calls.get(call.index, ("", "", ""))
                name += call.function.name or ""
                arguments += call.function.arguments or ""
                calls[call.index] = (identity or call.id or "", name, arguments)
    return calls


class Through:
    def __init__(self, peer, values, mock):
        self.peer = peer
        self.mock = mock
        self.deployment = f"{peer.name}/"
        root = values["signalbox"]
        self.openai = openai.OpenAI(base_url=f"{root}/v1", api_key="sk-client", max_retries=0, timeout=60)
        self.anthropic = anthropic.Anthropic(base_url=root, api_key="sk-client", max_retries=0, timeout=60)

    def model(self, what):
        return f"{self.peer.name}-{what}"

    def arrived(self, count=1):
        """What the mock got since the last `clear`, after checking that it came from the peer."""
        requests = self.mock.requests()
        equal(len(requests), count, "requests at the mock")
        header, begin = self.peer.trace
        for request in requests:
            found = request["headers"].get(header, "")
            holds(found.startswith(begin), f"{header} at the mock is {found!r}, not the peer's")
        return [request["body"] for request in requests]

    def create(self, what, text=PROMPT, **more):
        """The answer and its headers."""
        self.mock.clear()
        raw = self.openai.chat.completions.with_raw_response.create(
            model=self.model(what), messages=more.pop("messages", None) or user(text), **more
        )
        return raw.parse(), raw.headers

    def chunks(self, what, text=PROMPT, **more):
        self.mock.clear()
        return list(
            self.openai.chat.completions.create(
                model=self.model(what), messages=user(text), stream=True, stream_options={"include_usage": True}, **more
            )
        )

    def ends_with_done(self, what, **more):
        """The SDK hides the end marker, so this looks at the bytes."""
        body = {"model": self.model(what), "messages": user(PROMPT), "stream": True, **more}
        key = {"authorization": "Bearer sk-client"}
        answer = httpx2.post(f"{self.openai.base_url}chat/completions", json=body, headers=key, timeout=60)
        equal(answer.status_code, 200, "status")
        events = [event for event in answer.text.split("\n\n") if event]
        equal(events[-1], "data: [DONE]", "the last event")
        equal(events.count("data: [DONE]"), 1, "end markers")

    def chat(self):
        answer, headers = self.create("chat")
        self.is_echo(answer)
        holds(headers["x-signalbox-deployment"].startswith(self.deployment), headers["x-signalbox-deployment"])
        holds(answer.usage.prompt_tokens > 0, f"usage is {answer.usage}")
        self.arrived()

    def is_echo(self, answer):
        choice = answer.choices[0]
        equal((choice.message.role, choice.message.content), ("assistant", PROMPT), "the echo of the mock")
        equal(choice.finish_reason, "stop", "finish_reason")
        holds(answer.usage.completion_tokens > 0, f"usage is {answer.usage}")

    def message(self):
        self.mock.clear()
        answer = self.anthropic.messages.create(model=self.model("chat"), max_tokens=50, messages=user(PROMPT))
        equal([(block.type, block.text) for block in answer.content], [("text", PROMPT)], "the blocks")
        equal(answer.stop_reason, "end_turn", "stop_reason")
        holds(answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, f"usage is {answer.usage}")
        self.arrived()

    def stream(self):
        chunks = self.chunks("chat")
        self.is_streamed_echo(chunks)
        pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
        holds(len(pieces) > 1 or not self.peer.streams, f"the text came in one piece: {pieces}")
        counted = [index for index, chunk in enumerate(chunks) if chunk.usage is not None]
        equal(counted, [len(chunks) - 1], "the places of usage chunks")
        choices = chunks[-1].choices
        equal(len(choices), self.peer.usage_choices, "the choices of the usage chunk")
        equal([choice.delta.content for choice in choices], [None] * len(choices), "the text in the usage chunk")
        usage = chunks[-1].usage
        holds(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"usage is {usage}")
        self.arrived()
        self.ends_with_done("chat", stream_options={"include_usage": True})

    def stream_without_usage(self):
        """Signalbox asks the peer for usage all the same, and must not let it through."""
        self.mock.clear()
        chunks = list(
            self.openai.chat.completions.create(model=self.model("chat"), messages=user(PROMPT), stream=True)
        )
        self.is_streamed_echo(chunks)
        equal([chunk.usage for chunk in chunks if chunk.usage is not None], [], "usage that was not asked for")
        self.arrived()
        self.ends_with_done("chat")

    def is_streamed_echo(self, chunks):
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        equal(text, PROMPT, "the streamed text")
        finished = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        equal(finished, ["stop"], "finish_reason")

    def message_stream(self):
        self.mock.clear()
        with self.anthropic.messages.stream(model=self.model("chat"), max_tokens=50, messages=user(PROMPT)) as stream:
            text = "".join(stream.text_stream)
            answer = stream.get_final_message()
        equal((text, answer.stop_reason), (PROMPT, "end_turn"), "the streamed message")
        holds(answer.usage.output_tokens > 0, f"usage is {answer.usage}")
        self.arrived()

    def tool(self):
        answer, _ = self.create("chat", "Oslo", tools=[WEATHER])
        choice = answer.choices[0]
        equal(choice.finish_reason, "tool_calls", "finish_reason")
        call = choice.message.tool_calls[0]
        equal((call.function.name, json.loads(call.function.arguments)), ("weather", ARGUMENTS), "the call")
        equal(self.arrived()[0]["tools"][0]["function"]["name"], "weather", "the tool at the mock")
        messages = [
            *user("Oslo"),
            choice.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "4 degrees, rain"},
        ]
        answer, _ = self.create("chat", messages=messages, tools=[WEATHER])
        equal(answer.choices[0].finish_reason, "stop", "finish_reason after the tool's result")
        holds(answer.choices[0].message.content, "no text after the tool's result")
        sent = self.arrived()[0]["messages"]
        equal((sent[-1]["tool_call_id"], sent[-1]["content"]), (call.id, "4 degrees, rain"), "the result at the mock")
        equal(json.loads(sent[-2]["tool_calls"][0]["function"]["arguments"]), ARGUMENTS, "the call at the mock")

    def streamed_tool(self):
        chunks = self.chunks("chat", "Oslo", tools=[WEATHER])
        calls = joined_calls(chunks)
        equal([(name, json.loads(text)) for _, name, text in calls.values()], [("weather", ARGUMENTS)], "the call")
        holds(calls[0][0], "the call has no id")
        finished = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        equal(finished, ["tool_calls"], "finish_reason")
        self.arrived()

    def parallel_tools(self):
        # The header `x-mock` makes no way through the peers, so a model of its own asks for two calls.
        calls = joined_calls(self.chunks("pair", "Oslo", tools=[WEATHER]))
        equal(sorted(calls), [0, 1], "the calls' indexes")
        equal([json.loads(text)["city"] for _, _, text in calls.values()], ["Oslo", "Oslo"], "the calls' arguments")
        holds(calls[0][0] and calls[1][0] and calls[0][0] != calls[1][0], "the ids are not two")

    def re2(self):
        answer, _ = self.create("re2")
        self.is_echo(answer)
        equal(self.arrived()[0]["messages"][-1]["content"].count(PROMPT), 2, "the question at the mock")

    def re2_stream(self):
        self.is_streamed_echo(self.chunks("re2"))
        equal(self.arrived()[0]["messages"][-1]["content"].count(PROMPT), 2, "the question at the mock")
        self.ends_with_done("re2")

    def re2_message(self):
        """OptiLLM's answer has no id; a message without one is no message."""
        self.mock.clear()
        answer = self.anthropic.messages.create(model=self.model("re2"), max_tokens=50, messages=user(PROMPT))
        equal([block.text for block in answer.content], [PROMPT], "the blocks")
        equal(answer.stop_reason, "end_turn", "stop_reason")
        holds(answer.usage.output_tokens > 0, f"usage is {answer.usage}")
        self.arrived()
        holds(answer.id, "the message has no id")

    def best_of_2(self):
        answer, _ = self.create("bon")
        self.is_echo(answer)
        # One request for two candidates, then a rating of each.
        equal([body.get("n") for body in self.arrived(3)], [2, 1, 1], "n at the mock")

    def embeddings(self):
        self.mock.clear()
        answer = self.openai.embeddings.create(model=self.model("vectors"), input=["one", "two words"])
        equal([one.index for one in answer.data], [0, 1], "indexes")
        holds(all(len(one.embedding) > 1 for one in answer.data), "an empty vector")
        holds(answer.usage.prompt_tokens > 0, f"usage is {answer.usage}")
        self.arrived()

    def no_embeddings(self):
        """The catalogue knows that this peer has none, so nothing is sent to it."""
        error = self.refused(lambda: self.openai.embeddings.create(model=self.model("vectors"), input="one"), 400)
        equal(error.code, "unsupported_operation", "code")
        self.arrived(0)
        return "refused"

    def refused(self, action, status):
        """The error, after checking that it has OpenAI's envelope."""
        self.mock.clear()
        try:
            action()
        except openai.APIStatusError as error:
            equal(error.status_code, status, f"status of {error.message!r}")
            whole = error.response.json()
            holds(isinstance(whole.get("error"), dict), f"no envelope: {whole}")
            holds(isinstance(whole["error"].get("message"), str) and whole["error"]["message"], f"no message: {whole}")
            return error
        raise AssertionError("no error was raised")

    def refused_message(self, what, status):
        """The same for Anthropic's envelope."""
        try:
            self.anthropic.messages.create(model=self.model(what), max_tokens=9, messages=user(PROMPT))
        except anthropic.APIStatusError as error:
            equal(error.status_code, status, f"status of {error.message!r}")
            whole = error.response.json()
            equal((whole.get("type"), type(whole.get("error"))), ("error", dict), f"the envelope of {whole}")
            holds(whole["error"].get("type") and whole["error"].get("message"), f"type or message is missing: {whole}")
            return error
        raise AssertionError("no error was raised")

    def unknown(self):
        """An error that the peer made itself: the mock hears nothing."""
        error = self.refused(lambda: self.create("unknown"), self.peer.unknown)
        holds(self.peer.unknown_says in str(error.message), f"the peer's reason is lost: {error.message}")
        self.arrived(0)
        return str(error.status_code)

    def unknown_message(self):
        error = self.refused_message("unknown", self.peer.unknown)
        holds(self.peer.unknown_says in str(error.message), f"the peer's reason is lost: {error.message}")
        return str(error.status_code)

    def missing(self):
        error = self.refused(lambda: self.create("missing"), self.peer.missing)
        holds("does not exist" in str(error.message), f"the mock's reason is lost: {error.message}")
        return str(error.status_code)

    def limited(self):
        error = self.refused(lambda: self.create("limited"), self.peer.limited)
        holds("ate limit" in str(error.message), f"the mock's reason is lost: {error.message}")
        if self.peer.limited == 429:
            wait = error.response.headers.get("retry-after")
            equal(wait, self.peer.retry_after, "retry-after")
        return str(error.status_code)

    def limited_message(self):
        error = self.refused_message("limited", self.peer.limited)
        holds("ate limit" in str(error.message), f"the mock's reason is lost: {error.message}")
        expected = "rate_limit_error" if self.peer.limited == 429 else "api_error"
        equal(error.response.json()["error"]["type"], expected, "type")
        return str(error.status_code)

    def deployments(self, what, count):
        used = []
        for _ in range(count):
            answer, headers = self.create(what)
            self.is_echo(answer)
            used.append((headers["x-signalbox-deployment"].split("/")[0], headers["x-signalbox-fallback"]))
        return used

    def shared(self):
        used = self.deployments("and-mock", 4)
        equal({name for name, _ in used}, {self.peer.name, "mock"}, "the deployments that answered")
        equal({fallback for _, fallback in used}, {"false"}, "fallbacks while all are well")

    def cut(self, server):
        """The peer dies while its answer is awaited or under way."""
        timer = threading.Timer(1.0, server.kill)
        # Otherwise the first event is also the last, and the death has to come before it.
        if not self.peer.streams:
            timer.start()
        finished = []
        try:
            stream = self.openai.chat.completions.create(model=self.model("slow"), messages=user(PROMPT), stream=True)
            for chunk in stream:
                finished += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
                server.kill()
        except openai.APIStatusError as error:
            holds(server.was_killed, f"an error while the peer lived: {error.message}")
            equal(error.status_code, 502, "status before the first event")
            return "502"
        except openai.APIError as error:
            holds(server.was_killed, f"an error while the peer lived: {error.message}")
            equal(finished, [], "finish_reason before the break")
            holds(error.message, "an error without a message")
            return "broken"
        finally:
            timer.cancel()
            server.kill()
        raise AssertionError(f"the stream ended as if it were whole: {finished}")

    def shared_without_peer(self):
        used = self.deployments("and-mock", 4)
        equal({name for name, _ in used}, {"mock"}, "the deployments that answered")
        holds(("mock", "true") in used, f"the dead peer was never tried: {used}")

    def fallback(self):
        equal(self.deployments("or-mock", 1), [("mock", "true")], "the deployment that answered")

    def fallback_stream(self):
        # Whether an attempt at the dead peer came first depends on its cooldown; who answers does not.
        raw = self.openai.chat.completions.with_raw_response.create(
            model=self.model("or-mock"), messages=user(PROMPT), stream=True
        )
        self.is_streamed_echo(list(raw.parse()))
        equal(raw.headers["x-signalbox-deployment"].split("/")[0], "mock", "the deployment that answered")
