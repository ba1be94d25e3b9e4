"""The OpenAI SDK, chat completions and responses."""

import json

import openai

from cases import CITY, PARAMETERS, PROMPT, RESPONSES_FORMATS, SYSTEM, WEATHER, Answer, Call, run, target


def connect():
    gateway, key = target()
    return openai.OpenAI(base_url=f"{gateway}/v1", api_key=key, max_retries=0, timeout=30)


class Chat:
    name, package = "openai chat (Python)", "openai"
    stop, tool_stop, limit_error = "stop", "tool_calls", "RateLimitError"
    tools = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS, "strict": True}}]

    def __init__(self):
        self.client = connect()

    def chat(self, model, stream):
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
        return self.ask(stream, model=model, messages=messages, temperature=0.2)

    def tool(self, model, stream):
        messages = [{"role": "developer", "content": SYSTEM}, {"role": "user", "content": CITY}]
        asked = self.ask(stream, model=model, messages=messages, tools=self.tools)
        calls = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
            for c in asked.calls
        ]
        messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        messages += [{"role": "tool", "tool_call_id": call.id, "content": WEATHER} for call in asked.calls]
        return asked, self.ask(stream, model=model, messages=messages, tools=self.tools)

    def limited(self, model):
        self.client.chat.completions.create(model=model, messages=[{"role": "user", "content": PROMPT}])

    def ask(self, stream, **request):
        create = self.client.chat.completions.create
        if stream:
            return read_chunks(create(stream=True, stream_options={"include_usage": True}, **request))
        answer = create(**request)
        message = answer.choices[0].message
        calls = [
            Call(call.id, call.function.name, json.loads(call.function.arguments))
            for call in message.tool_calls or []
        ]
        usage = answer.usage
        stop = answer.choices[0].finish_reason
        return Answer(message.content or "", [], calls, stop, usage.prompt_tokens, usage.completion_tokens)


def read_chunks(chunks):
    answer, calls = Answer(), {}
    for chunk in chunks:
        if chunk.usage:
            answer.prompt_tokens, answer.completion_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
        for choice in chunk.choices:
            answer.stop = choice.finish_reason or answer.stop
            if choice.delta.content:
                answer.pieces.append(choice.delta.content)
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                call["id"] = piece.id or call["id"]
                call["name"] += piece.function.name or ""
                call["arguments"] += piece.function.arguments or ""
    answer.text = "".join(answer.pieces)
    answer.calls = [Call(call["id"], call["name"], json.loads(call["arguments"])) for call in calls.values()]
    return answer


class Responses:
    name, package = "openai responses (Python)", "openai"
    formats = RESPONSES_FORMATS
    stop = tool_stop = "completed"
    limit_error = "RateLimitError"
    tools = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]

    def __init__(self):
        self.client = connect()

    def chat(self, model, stream):
        return self.ask(stream, model=model, instructions=SYSTEM, input=PROMPT)[0]

    def tool(self, model, stream):
        request = {"model": model, "instructions": SYSTEM, "tools": self.tools}
        items = [{"role": "user", "content": CITY}]
        asked, output = self.ask(stream, input=items, **request)
        items += output
        items += [{"type": "function_call_output", "call_id": call.id, "output": WEATHER} for call in asked.calls]
        return asked, self.ask(stream, input=items, **request)[0]

    def limited(self, model):
        self.client.responses.create(model=model, input=PROMPT, store=False)

    def ask(self, stream, **request):
        """The answer, and its items for the next turn's input."""
        pieces = []
        if stream:
            with self.client.responses.stream(store=False, **request) as events:
                for event in events:
                    if event.type == "response.output_text.delta":
                        pieces.append(event.delta)
                response = events.get_final_response()
        else:
            response = self.client.responses.create(store=False, **request)
        calls = [
            Call(item.call_id, item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ]
        usage = response.usage
        answer = Answer(
            response.output_text, pieces, calls, response.status, usage.input_tokens, usage.output_tokens
        )
        return answer, [clean(item) for item in response.output]


def clean(item):
    """An output item as input: without what only the SDK's `stream` helper adds."""
    plain = item.model_dump(exclude_none=True, warnings=False)
    plain.pop("parsed_arguments", None)
    return plain


if __name__ == "__main__":
    run(Chat(), Responses())
