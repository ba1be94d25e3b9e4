"""The Google Gen AI SDK, which sends the model in the path and the key as x-goog-api-key.

Version 3 asks under /v1 where it is not told otherwise, as earlier ones did under /v1beta.
"""

from google import genai
from google.genai import types

from cases import CITY, PARAMETERS, PROMPT, SYSTEM, WEATHER, Answer, Call, holds, run, target

SCHEMA = {name: value for name, value in PARAMETERS.items() if name != "additionalProperties"}


class GoogleGenai:
    package = "google-genai"
    stop = tool_stop = "STOP"
    limit_error = "ClientError"

    def __init__(self, version):
        self.name = f"google-genai (Python) /{version}"
        gateway, key = target()
        once = types.HttpRetryOptions(attempts=1)
        options = types.HttpOptions(base_url=gateway, api_version=version, timeout=30_000, retry_options=once)
        self.client = genai.Client(api_key=key, http_options=options)
        weather = types.FunctionDeclaration(name="weather", description="Weather.", parameters_json_schema=SCHEMA)
        self.tools = [types.Tool(function_declarations=[weather])]

    def chat(self, model, stream):
        config = types.GenerateContentConfig(system_instruction=SYSTEM, temperature=0.2)
        return self.ask(stream, model, PROMPT, config)[0]

    def tool(self, model, stream):
        config = types.GenerateContentConfig(tools=self.tools)
        contents = [types.Content(role="user", parts=[types.Part(text=CITY)])]
        asked, parts = self.ask(stream, model, contents, config)
        results = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=part.function_call.id, name=part.function_call.name, response={"output": WEATHER}
                )
            )
            for part in parts
            if part.function_call
        ]
        contents += [types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
        return asked, self.ask(stream, model, contents, config)[0]

    def limited(self, model):
        self.client.models.generate_content(model=model, contents=PROMPT)

    def extras(self):
        return {"count tokens": self.count_tokens}

    def count_tokens(self, model):
        counted = self.client.models.count_tokens(model=model, contents=PROMPT).total_tokens
        holds(counted and counted > 0, f"{counted} tokens")

    def ask(self, stream, model, contents, config):
        """The answer, and its parts for the next turn."""
        request = {"model": model, "contents": contents, "config": config}
        models = self.client.models
        answers = list(models.generate_content_stream(**request)) if stream else [models.generate_content(**request)]
        answer, parts = Answer(), []
        for piece in answers:
            candidate = piece.candidates[0] if piece.candidates else None
            if candidate and candidate.content:
                parts += candidate.content.parts or []
            if candidate and candidate.finish_reason:
                answer.stop = candidate.finish_reason.name
            if piece.usage_metadata:
                answer.prompt_tokens = piece.usage_metadata.prompt_token_count
                answer.completion_tokens = piece.usage_metadata.candidates_token_count
        texts = [part.text for part in parts if part.text and not part.thought]
        answer.text = "".join(texts)
        answer.pieces = texts if stream else []
        # The API may leave ids out; then the place identifies a call.
        answer.calls = [
            Call(part.function_call.id or str(place), part.function_call.name, part.function_call.args)
            for place, part in enumerate(parts)
            if part.function_call
        ]
        return answer, parts


if __name__ == "__main__":
    run(GoogleGenai("v1"), GoogleGenai("v1beta"))
