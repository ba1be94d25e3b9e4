"""What both Python SDKs must get from the cache: an answer that was kept in one mode, given in the other.

The model `demo-cached` is the only one of the demo whose answers are kept. Each check asks something of its own, so that
its first request is a miss."""

import uuid

import anthropic
import openai

from suite import equal, holds

WEATHER = {
    "city": {"type": "string"},
    "days": {"type": "integer"},
}
SCHEMA = {"type": "object", "properties": WEATHER, "required": ["city", "days"]}
MODEL = "demo-cached"


class CacheChecks:
    def __init__(self, base_url, key):
        common = {"api_key": key, "max_retries": 0, "timeout": 30}
        self.openai = openai.OpenAI(base_url=base_url, **common)
        self.anthropic = anthropic.Anthropic(base_url=base_url.removesuffix("/v1"), **common)

    def run(self, suite):
        for name, ask in [
            ("chat", self.chat),
            ("chat with a tool call", self.chat_tool),
            ("message", self.message),
            ("message with tool use", self.message_tool),
            ("response", self.response),
            ("response with a function call", self.response_tool),
        ]:
            suite.check(f"{name}: JSON of a kept stream", self.compare, ask, True)
            suite.check(f"{name}: a stream of kept JSON", self.compare, ask, False)

    def compare(self, ask, stream_first):
        prompt = f"Signals guard the line between two stations {uuid.uuid4().hex}"
        first, mark = ask(prompt, stream_first)
        equal(mark, "miss", "x-signalbox-cache of the first")
        second, mark = ask(prompt, not stream_first)
        equal(mark, "hit", "x-signalbox-cache of the second")
        calls_tool = ask in (self.chat_tool, self.message_tool, self.response_tool)
        holds(first["calls"] if calls_tool else first["text"], f"the first answer lacks what it is about: {first}")
        equal(second, first, "the answer in the other mode")

    def chat(self, prompt, stream, **more):
        create = self.openai.chat.completions.with_raw_response.create
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "extra_headers": opted_in(), **more}
        if not stream:
            raw = create(**body)
            answer = raw.parse()
            holds(answer.usage.completion_tokens > 0, f"usage is {answer.usage}")
            choice = answer.choices[0]
            calls = [(call.function.name, call.function.arguments) for call in choice.message.tool_calls or []]
            return told(choice.message.content, calls, choice.finish_reason), mark_of(raw)
        raw = create(**body, stream=True, stream_options={"include_usage": True})
        text, calls, finish, usage = "", {}, None, None
        for chunk in raw.parse():
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
                for call in choice.delta.tool_calls or []:
                    name, arguments = calls.get(call.index, ("", ""))
                    calls[call.index] = (
                        name + (call.function.name or ""),
                        arguments + (call.function.arguments or ""),
                    )
        holds(usage is not None and usage.completion_tokens > 0, f"usage is {usage}")
        return told(text, list(calls.values()), finish), mark_of(raw)

    def chat_tool(self, prompt, stream):
        function = {"name": "weather", "description": "The weather of a city.", "parameters": SCHEMA}
        return self.chat(prompt, stream, tools=[{"type": "function", "function": function}])

    def message(self, prompt, stream, **more):
        body = {
            "model": MODEL,
            "max_tokens": 200,
            "messages": [{"role": "user", "content": prompt}],
            "extra_headers": opted_in(),
            **more,
        }
        if stream:
            with self.anthropic.messages.stream(**body) as events:
                answer = events.get_final_message()
                mark = events.response.headers["x-signalbox-cache"]
        else:
            raw = self.anthropic.messages.with_raw_response.create(**body)
            answer, mark = raw.parse(), mark_of(raw)
        holds(answer.usage.output_tokens > 0, f"usage is {answer.usage}")
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
        return told(text, calls, answer.stop_reason), mark

    def message_tool(self, prompt, stream):
        tool = {"name": "weather", "description": "The weather of a city.", "input_schema": SCHEMA}
        return self.message(prompt, stream, tools=[tool])

    def response(self, prompt, stream, **more):
        create = self.openai.responses.with_raw_response.create
        raw = create(model=MODEL, input=prompt, stream=stream, store=False, extra_headers=opted_in(), **more)
        answer = raw.parse()
        if stream:
            events = list(answer)
            equal([event.sequence_number for event in events], list(range(len(events))), "sequence_number")
            equal((events[0].type, events[-1].type), ("response.created", "response.completed"), "the events")
            deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            answer = events[-1].response
            equal(deltas, answer.output_text, "the deltas and the text at the end")
        holds(answer.usage.output_tokens > 0, f"usage is {answer.usage}")
        calls = [(item.name, item.arguments) for item in answer.output if item.type == "function_call"]
        return told(answer.output_text, calls, answer.status), mark_of(raw)

    def response_tool(self, prompt, stream):
        tool = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
        return self.response(prompt, stream, tools=[tool])


def told(text, calls, end):
    return {"text": text or "", "calls": calls, "end": end}


def opted_in():
    """What offers tools is kept only when the request asks for it."""
    return {"x-signalbox-cache": "on"}


def mark_of(raw):
    return raw.headers["x-signalbox-cache"]
