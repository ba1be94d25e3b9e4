"""The other way round: a client, LiteLLM or Portkey, Signalbox, the mock."""

import json

import openai

from cases import ARGUMENTS, PROMPT, WEATHER, equal, holds, joined_calls, user


def run(table, peer, values, mock):
    clients = {"litellm": litellm, "portkey": portkey}
    if peer.name not in clients:
        return
    behind = Behind(mock, *clients[peer.name](values))
    messages = Behind(mock, *clients[peer.name](values, "anthropic"))
    table.check("in front of Signalbox: chat", peer, behind.chat)
    table.check("in front of Signalbox: streamed chat", peer, behind.stream)
    table.check("in front of Signalbox: tool call, streamed", peer, behind.streamed_tool)
    table.check("in front of Signalbox: embeddings", peer, behind.embeddings)
    table.check("in front of Signalbox: the upstream's 429", peer, behind.limited)
    # Signalbox as a provider with Anthropic's format; the client's stays OpenAI's.
    table.check("in front of Signalbox, /v1/messages: chat", peer, messages.chat)
    table.check("in front of Signalbox, /v1/messages: streamed chat", peer, messages.stream)
    table.check("in front of Signalbox, /v1/messages: tool call, streamed", peer, messages.streamed_tool)


def litellm(values, dialect="openai"):
    client = openai.OpenAI(base_url=f"{values['litellm']}/v1", api_key="sk-litellm", max_retries=0, timeout=60)
    chat = "behind" if dialect == "openai" else "behind-messages"
    return client, {"chat": chat, "vectors": "behind-vectors", "limited": "behind-limited"}


def portkey(values, dialect="openai"):
    headers = {"x-portkey-provider": dialect, "x-portkey-custom-host": f"{values['signalbox']}/v1"}
    client = openai.OpenAI(
        base_url=f"{values['portkey']}/v1", api_key="sk-client", default_headers=headers, max_retries=0, timeout=60
    )
    return client, {"chat": "direct", "vectors": "direct", "limited": "direct-limited"}


class Behind:
    def __init__(self, mock, client, models):
        self.mock = mock
        self.client = client
        self.models = models

    def arrived(self):
        """What the mock got, after checking that it came with the credential that only Signalbox has."""
        requests = self.mock.requests()
        equal(len(requests), 1, "requests at the mock")
        holds(requests[0]["headers"].get("authorization") == "Bearer sk-mock", "the credential is not the provider's")
        return requests[0]["body"]

    def chat(self):
        self.mock.clear()
        answer = self.client.chat.completions.create(model=self.models["chat"], messages=user(PROMPT))
        choice = answer.choices[0]
        equal((choice.message.content, choice.finish_reason), (PROMPT, "stop"), "the echo of the mock")
        holds(answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, f"usage is {answer.usage}")
        self.arrived()

    def stream(self):
        self.mock.clear()
        chunks = self.chunks(PROMPT)
        pieces = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
        equal("".join(pieces), PROMPT, "the streamed text")
        holds(len(pieces) > 1, f"the text came in one piece: {pieces}")
        finished = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        equal(finished, ["stop"], "finish_reason")
        counted = [chunk.usage for chunk in chunks if chunk.usage]
        holds(len(counted) == 1 and counted[0].completion_tokens > 0, f"usage chunks are {counted}")
        self.arrived()

    def chunks(self, text, **more):
        options = {"stream": True, "stream_options": {"include_usage": True}, **more}
        return list(self.client.chat.completions.create(model=self.models["chat"], messages=user(text), **options))

    def streamed_tool(self):
        self.mock.clear()
        calls = joined_calls(self.chunks("Oslo", tools=[WEATHER]))
        equal([(name, json.loads(text)) for _, name, text in calls.values()], [("weather", ARGUMENTS)], "the call")
        self.arrived()

    def embeddings(self):
        self.mock.clear()
        answer = self.client.embeddings.create(model=self.models["vectors"], input=["one", "two words"])
        holds(all(len(one.embedding) > 1 for one in answer.data) and len(answer.data) == 2, "the vectors are not two")
        self.arrived()

    def limited(self):
        self.mock.clear()
        try:
            self.client.chat.completions.create(model=self.models["limited"], messages=user(PROMPT))
        except openai.RateLimitError as error:
            holds("rate-limited" in str(error.message), f"Signalbox's reason is lost: {error.message}")
            return "429"
        raise AssertionError("no RateLimitError was raised")
