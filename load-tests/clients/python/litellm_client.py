"""The LiteLLM SDK as a client, as openai/... (chat and responses) and as anthropic/..."""

import json
import os

# It would fetch its price list when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from cases import CITY, FORMATS, PARAMETERS, PROMPT, RESPONSES_FORMATS, SYSTEM, WEATHER, Answer, Call, run, target
from openai_sdk import read_chunks

# Otherwise each refused request prints where to get help.
litellm.suppress_debug_info = True
# LiteLLM fakes the responses stream of a model it does not know, and then gives each call's arguments twice.
KNOWN = {"litellm_provider": "openai", "mode": "chat", "supports_native_streaming": True}
litellm.register_model({name + end: KNOWN for name in RESPONSES_FORMATS for end in ["", "-two-calls", "-limited"]})
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather.", "parameters": PARAMETERS}}]


class LiteLlm:
    package, stop, tool_stop, limit_error = "litellm", "stop", "tool_calls", "RateLimitError"

    def __init__(self, prefix, base_url, key):
        self.name = f"LiteLLM SDK {prefix}…"
        self.prefix = prefix
        self.formats = RESPONSES_FORMATS if "responses" in prefix else FORMATS
        self.fixed = {"api_base": base_url, "api_key": key, "num_retries": 0, "max_retries": 0, "timeout": 30}

    def chat(self, model, stream):
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
        return self.ask(model, stream, messages=messages)[0]

    def tool(self, model, stream):
        messages = [{"role": "user", "content": CITY}]
        asked, message = self.ask(model, stream, messages=messages, tools=TOOLS)
        messages.append(message)
        messages += [{"role": "tool", "tool_call_id": call.id, "content": WEATHER} for call in asked.calls]
        return asked, self.ask(model, stream, messages=messages, tools=TOOLS)[0]

    def limited(self, model):
        self.ask(model, False, messages=[{"role": "user", "content": PROMPT}])

    def ask(self, model, stream, **request):
        """The answer, and its message for the next turn."""
        request |= {"model": self.prefix + model, **self.fixed}
        if stream:
            chunks = list(litellm.completion(stream=True, stream_options={"include_usage": True}, **request))
            for chunk in chunks:
                # LiteLLM leaves the field out where OpenAI's SDK has None.
                chunk.usage = getattr(chunk, "usage", None)
            answer = read_chunks(chunks)
        else:
            whole = litellm.completion(**request)
            message = whole.choices[0].message
            calls = [
                Call(call.id, call.function.name, json.loads(call.function.arguments))
                for call in message.tool_calls or []
            ]
            usage = whole.usage
            stop = whole.choices[0].finish_reason
            answer = Answer(message.content or "", [], calls, stop, usage.prompt_tokens, usage.completion_tokens)
        return answer, assistant(answer)


def assistant(answer):
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
        for call in answer.calls
    ]
    return {"role": "assistant", "content": answer.text or None, "tool_calls": calls}


def main():
    gateway, key = target()
    run(
        LiteLlm("openai/", f"{gateway}/v1", key),
        # LiteLLM speaks the responses format to the provider and chat to its user.
        LiteLlm("openai/responses/", f"{gateway}/v1", key),
        LiteLlm("anthropic/", gateway, key),
    )


if __name__ == "__main__":
    main()
