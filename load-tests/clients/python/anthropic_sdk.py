"""The Anthropic SDK."""

import anthropic

from cases import CITY, PARAMETERS, PROMPT, SYSTEM, WEATHER, Answer, Call, equal, holds, run, target


class Messages:
    name, package = "anthropic (Python)", "anthropic"
    stop, tool_stop, limit_error = "end_turn", "tool_use", "RateLimitError"
    tools = [{"name": "weather", "description": "The weather of a city.", "input_schema": PARAMETERS}]

    def __init__(self):
        gateway, key = target()
        self.client = anthropic.Anthropic(base_url=gateway, api_key=key, max_retries=0, timeout=30)

    def chat(self, model, stream):
        system = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
        messages = [{"role": "user", "content": PROMPT}]
        return self.ask(stream, model=model, system=system, messages=messages)[0]

    def tool(self, model, stream):
        messages = [{"role": "user", "content": CITY}]
        asked, content = self.ask(stream, model=model, messages=messages, tools=self.tools)
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": WEATHER} for call in asked.calls]
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
        return asked, self.ask(stream, model=model, messages=messages, tools=self.tools)[0]

    def limited(self, model):
        self.client.messages.create(model=model, max_tokens=99, messages=[{"role": "user", "content": PROMPT}])

    def extras(self):
        return {"count tokens": self.count_tokens, "event order": self.events}

    def count_tokens(self, model):
        messages = [{"role": "user", "content": PROMPT}]
        plain = self.client.messages.count_tokens(model=model, messages=messages).input_tokens
        tooled = self.client.messages.count_tokens(model=model, messages=messages, tools=self.tools).input_tokens
        holds(0 < plain < tooled, f"{plain} tokens without and {tooled} with a tool")

    def events(self, model):
        """The order of events, which the SDK's own accumulator does not enforce."""
        messages = [{"role": "user", "content": PROMPT}]
        stream = self.client.messages.create(model=model, max_tokens=99, messages=messages, stream=True)
        events = [event for event in stream if event.type != "ping"]
        kinds = [event.type for event in events]
        equal(kinds[:2], ["message_start", "content_block_start"], "the first events")
        equal(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"], "the last events")
        equal(set(kinds[2:-3]), {"content_block_delta"}, "the events between")
        equal("".join(event.delta.text for event in events[2:-3]), PROMPT, "the text")

    def ask(self, stream, **request):
        """The answer, and its content for the next turn."""
        pieces = []
        if stream:
            with self.client.messages.stream(max_tokens=999, **request) as events:
                pieces = list(events.text_stream)
                message = events.get_final_message()
        else:
            message = self.client.messages.create(max_tokens=999, **request)
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [Call(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
        usage = message.usage
        answer = Answer(text, pieces, calls, message.stop_reason, usage.input_tokens, usage.output_tokens)
        return answer, [block.model_dump(exclude_none=True, warnings=False) for block in message.content]


if __name__ == "__main__":
    run(Messages())
