#!/usr/bin/env python3
"""A provider that follows a script (script.py), in OpenAI's chat format and Anthropic's, streamed or whole.

    agents/scripted_provider.py PORT right|wrong

It is apart from the mock upstream because it must know each agent's own tools.
"""

import http.server
import json
import sys

import script

PIECE = 7


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content = script.CONTENT

    def do_GET(self):
        self.answer(200, {"status": "ok"})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        form = {"chat/completions": OpenAi, "messages": Anthropic}.get(path.removeprefix("/v1/"))
        if not form:
            return self.answer(404, {"error": {"message": f"nothing at {path}", "type": "invalid_request_error"}})
        try:
            text, call = script.turn(request, self.content)
        except ValueError as error:
            print(error, file=sys.stderr, flush=True)
            return self.answer(400, {"type": "error", "error": {"message": str(error), "type": "invalid_request_error"}})
        if not request.get("stream"):
            return self.answer(200, form.whole(text, call))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for event in form.events(text, call):
            self.wfile.write(event.encode())
            self.wfile.flush()
        self.close_connection = True

    def answer(self, status, body):
        encoded = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_):
        """Says nothing: agents ask a lot."""


def pieces(text):
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


class OpenAi:
    USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}

    @classmethod
    def whole(cls, text, call):
        message = {"role": "assistant", "content": text}
        if call:
            message["tool_calls"] = [cls.call(call, json.dumps(call[1]))]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
        return cls.frame("chat.completion", [choice]) | {"usage": cls.USAGE}

    @classmethod
    def events(cls, text, call):
        deltas = [{"role": "assistant", "content": None if call else ""}]
        if call:
            deltas.append({"tool_calls": [{"index": 0} | cls.call(call, "")]})
            for piece in pieces(json.dumps(call[1])):
                deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        else:
            deltas += [{"content": piece} for piece in pieces(text)]
        for delta in deltas:
            yield cls.event([{"index": 0, "delta": delta, "finish_reason": None}])
        yield cls.event([{"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"}])
        yield cls.event([], usage=cls.USAGE)
        yield "data: [DONE]\n\n"

    @staticmethod
    def call(call, arguments):
        return {"id": "call_1", "type": "function", "function": {"name": call[0], "arguments": arguments}}

    @staticmethod
    def frame(kind, choices):
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "scripted", "choices": choices}

    @classmethod
    def event(cls, choices, **more):
        return f"data: {json.dumps(cls.frame('chat.completion.chunk', choices) | more)}\n\n"


class Anthropic:
    @classmethod
    def whole(cls, text, call):
        block = cls.block(call) | {"input": call[1]} if call else {"type": "text", "text": text}
        return cls.message([block], "tool_use" if call else "end_turn", 10)

    @classmethod
    def events(cls, text, call):
        yield cls.event("message_start", message=cls.message([], None, 1))
        block = cls.block(call) if call else {"type": "text", "text": ""}
        yield cls.event("content_block_start", index=0, content_block=block)
        for piece in pieces(json.dumps(call[1]) if call else text):
            delta = {"type": "input_json_delta", "partial_json": piece} if call else {"type": "text_delta", "text": piece}
            yield cls.event("content_block_delta", index=0, delta=delta)
        yield cls.event("content_block_stop", index=0)
        stop = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
        yield cls.event("message_delta", delta=stop, usage={"output_tokens": 10})
        yield cls.event("message_stop")

    @staticmethod
    def block(call):
        return {"type": "tool_use", "id": "toolu_1", "name": call[0], "input": {}}

    @staticmethod
    def message(content, stop, tokens):
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {"input_tokens": 100, "output_tokens": tokens},
        }

    @staticmethod
    def event(kind, **fields):
        return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n"


if __name__ == "__main__":
    if sys.argv[2] == "wrong":
        Provider.content = script.WRONG_CONTENT
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Provider).serve_forever()
