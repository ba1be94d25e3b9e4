"""LangChain's chat models: ChatOpenAI (chat completions and responses) and ChatAnthropic."""

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI

from cases import CITY, FORMATS, PARAMETERS, PROMPT, RESPONSES_FORMATS, SYSTEM, WEATHER, Answer, Call, run, target

TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather.", "parameters": PARAMETERS}}]


class LangChain:
    limit_error = "RateLimitError"

    def __init__(self, name, package, stops, connect, formats=FORMATS):
        self.formats = formats
        self.name, self.package, self.connect = name, package, connect
        self.stop, self.tool_stop = stops

    def chat(self, model, stream):
        return self.ask(self.connect(model), [SystemMessage(SYSTEM), HumanMessage(PROMPT)], stream)[0]

    def tool(self, model, stream):
        tooled = self.connect(model).bind_tools(TOOLS)
        messages = [HumanMessage(CITY)]
        asked, message = self.ask(tooled, messages, stream)
        messages.append(message)
        messages += [ToolMessage(WEATHER, tool_call_id=call.id) for call in asked.calls]
        return asked, self.ask(tooled, messages, stream)[0]

    def limited(self, model):
        self.connect(model).invoke(PROMPT)

    def ask(self, model, messages, stream):
        """The answer, and its message for the next turn."""
        if stream:
            chunks = list(model.stream(messages))
            message = chunks[0]
            for chunk in chunks[1:]:
                message += chunk
            pieces = [chunk.text for chunk in chunks if chunk.text]
        else:
            message, pieces = model.invoke(messages), []
        calls = [Call(call["id"], call["name"], call["args"]) for call in message.tool_calls]
        known = message.response_metadata
        stop = known.get("finish_reason") or known.get("stop_reason") or known.get("status")
        usage = message.usage_metadata or {}
        tokens = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
        return Answer(str(message.text), pieces, calls, stop, *tokens), message


def main():
    gateway, key = target()

    def openai(model, **more):
        return ChatOpenAI(
            model=model, base_url=f"{gateway}/v1", api_key=key, max_retries=0, timeout=30, stream_usage=True, **more
        )

    def responses(model):
        return openai(model, use_responses_api=True, output_version="responses/v1")

    def anthropic(model):
        return ChatAnthropic(model=model, base_url=gateway, api_key=key, max_retries=0, timeout=30, max_tokens=999)

    run(
        LangChain("langchain-openai chat", "langchain-openai", ("stop", "tool_calls"), openai),
        LangChain(
            "langchain-openai responses", "langchain-openai", ("completed", "completed"), responses, RESPONSES_FORMATS
        ),
        LangChain("langchain-anthropic", "langchain-anthropic", ("end_turn", "tool_use"), anthropic),
    )


if __name__ == "__main__":
    main()
