"""pydantic-ai agents over its three model classes. The agent's own loop runs the tool."""

import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent, ToolOutput
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

import anthropic
import openai

from cases import CITY, FORMATS, PROMPT, RESPONSES_FORMATS, SYSTEM, WEATHER, Answer, Call, equal, run, target

# One loop for all, since a client's connections die with the loop that they began in.
LOOP = asyncio.Runner()


class Forecast(BaseModel):
    city: str
    days: int


class PydanticAi:
    package, stop, limit_error = "pydantic-ai-slim", "stop", "ModelHTTPError"

    def __init__(self, name, connect, tool_stop="tool_call", formats=FORMATS):
        self.name, self.connect, self.tool_stop, self.formats = name, connect, tool_stop, formats

    def chat(self, model, stream):
        return self.ask(Agent(self.connect(model), system_prompt=SYSTEM), PROMPT, stream)[-1]

    def tool(self, model, stream):
        agent = Agent(self.connect(model))
        agent.tool_plain(weather)
        return self.ask(agent, CITY, stream)

    def limited(self, model):
        self.ask(Agent(self.connect(model)), PROMPT, stream=False)

    def extras(self):
        return {"output type": self.output_type}

    def output_type(self, model):
        """A typed result, which the agent asks for as a forced tool call."""
        agent = Agent(self.connect(model), output_type=ToolOutput(Forecast))
        result = LOOP.run(agent.run(CITY))
        equal(result.output, Forecast(city=CITY, days=1), "the typed output")
        answers = [read(message) for message in result.all_messages() if isinstance(message, ModelResponse)]
        equal([len(answer.calls) for answer in answers], [1], "the calls of each answer")

    def ask(self, agent, prompt, stream):
        """Each answer of the run."""
        return LOOP.run(self.run(agent, prompt, stream))

    async def run(self, agent, prompt, stream):
        pieces = []
        if stream:
            async with agent.run_stream(prompt) as result:
                pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            messages = result.all_messages()
        else:
            messages = (await agent.run(prompt)).all_messages()
        answers = [read(message) for message in messages if isinstance(message, ModelResponse)]
        answers[-1].pieces = [piece for piece in pieces if piece]
        return answers


def weather(city: str, days: int) -> str:
    """The weather of a city."""
    return WEATHER


def read(response):
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    calls = [
        Call(part.tool_call_id, part.tool_name, part.args_as_dict())
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    usage = response.usage
    return Answer(text, [], calls, response.finish_reason, usage.input_tokens, usage.output_tokens)


def main():
    gateway, key = target()

    settings = {"api_key": key, "max_retries": 0, "timeout": 30}
    to_openai = OpenAIProvider(openai_client=openai.AsyncOpenAI(base_url=f"{gateway}/v1", **settings))
    to_anthropic = AnthropicProvider(anthropic_client=anthropic.AsyncAnthropic(base_url=gateway, **settings))
    run(
        PydanticAi("pydantic-ai OpenAI chat", lambda model: OpenAIChatModel(model, provider=to_openai)),
        # The responses format says `completed` for both.
        PydanticAi(
            "pydantic-ai responses",
            lambda model: OpenAIResponsesModel(model, provider=to_openai),
            "stop",
            RESPONSES_FORMATS,
        ),
        PydanticAi("pydantic-ai Anthropic", lambda model: AnthropicModel(model, provider=to_anthropic)),
    )


if __name__ == "__main__":
    main()
