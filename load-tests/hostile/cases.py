"""The hostile requests: each a name, the bytes to send, and the path whose envelope the refusal must have.

Only the standard library. `random` makes every request a little different from the last of its kind."""

import gzip
import json
import random

PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/demo:generateContent",
}
BOMB = gzip.compress(b" " * (16 << 20))


def request(path, key, body=b"", extra=(), method="POST", length=True, version="HTTP/1.1"):
    lines = [f"{method} {path} {version}", "host: localhost", f"authorization: Bearer {key}"]
    if length:
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join(lines).encode() + b"\r\n"
    for line in extra:
        head += (line if isinstance(line, bytes) else line.encode()) + b"\r\n"
    return head + b"\r\n" + body


def chat(content="one two", **more):
    return {"model": "demo", "max_tokens": 9, "messages": [{"role": "user", "content": content}], **more}


def framing(path, key, rng):
    body = json.dumps(chat()).encode()
    chunked = "transfer-encoding: chunked"
    size = len(body)
    wild = rng.choice(["-1", "+5", "0x10", "1e3", "99999999999999999999", "5, 6", "", " ", "5;5", "\t7\t8"])
    return [
        ("both lengths", request(path, key, body, [chunked])),
        ("two lengths", request(path, key, body, [f"content-length: {size + rng.randint(1, 9)}"])),
        ("the same length twice", request(path, key, body, [f"content-length: {size}"])),
        ("a wild length", request(path, key, body, [f"content-length: {wild}"], length=False)),
        ("chunk size overflow", request(path, key, b"FFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n", [chunked], length=False)),
        ("chunk size of letters", request(path, key, b"zz\r\nx\r\n0\r\n\r\n", [chunked], length=False)),
        ("negative chunk", request(path, key, b"-5\r\nx\r\n0\r\n\r\n", [chunked], length=False)),
        ("chunk without its end", request(path, key, b"2\r\n{}xx0\r\n\r\n", [chunked], length=False)),
        ("chunk extension", request(path, key, b"2;" + b"a" * rng.randint(1, 9000) + b"\r\n{}\r\n0\r\n\r\n", [chunked], length=False)),
        ("chunked twice", request(path, key, b"2\r\n{}\r\n0\r\n\r\n", [chunked, chunked], length=False)),
        ("unknown transfer coding", request(path, key, body, ["transfer-encoding: " + rng.choice(["gzip", "xchunked", "chunked, identity"])], length=False)),
        ("two hosts", request(path, key, body, ["host: other"])),
        ("an upgrade", request(path, key, body, ["connection: upgrade", "upgrade: websocket"])),
        ("half a body", request(path, key, body[: rng.randint(0, size - 1)], [f"content-length: {size}"], length=False)),
        ("half a head", request(path, key, body)[: rng.randint(1, 60)]),
    ]


def heads(path, key, rng):
    noise = bytes(rng.choices(range(256), k=rng.randint(1, 300)))
    return [
        ("a huge header", request(path, key, b"{}", ["x-huge: " + "a" * rng.randint(70_000, 300_000)])),
        ("a header above everything", request(path, key, b"{}", ["x-huge: " + "a" * 1_200_000])),
        ("many headers", request(path, key, b"{}", [f"x-{n}: {n}" for n in range(rng.randint(130, 240))])),
        ("too many headers", request(path, key, b"{}", [f"x-{n}: {n}" for n in range(rng.randint(260, 2000))])),
        ("a NUL in a header", request(path, key, b"{}", [b"x-nul: a\0b"])),
        ("a bare CR in a header", request(path, key, b"{}", [b"x-cr: a\rb"])),
        ("no colon", request(path, key, b"{}", [b"x-no-colon"])),
        ("a space before the colon", request(path, key, b"{}", [b"x-space : a"])),
        ("a folded header", request(path, key, b"{}", [b"x-fold: a", b" b"])),
        ("an invalid method", request(path, key, b"{}", method=rng.choice(["PO ST", "P\0ST", "(POST)", "G" * 9000, "DELETE", "TRACE", "CONNECT"]))),
        ("an invalid target", request(rng.choice(["/v1/\x00", "//", "*", "/v1/%zz/..", "http://", "/" + "a" * 90_000, "\\v1", "/é"]), key, b"{}")),
        ("an unknown version", request(path, key, b"{}", version=rng.choice(["HTTP/9.9", "HTTP/1.2", "HTTP/", "HTTQ/1.1"]))),
        ("noise", noise + b"\r\n\r\n"),
        ("preface and noise", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise),
        ("half a preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + noise),
        ("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise),
    ]


def bodies(path, key, rng):
    depth = rng.choice([200, 1000, 10_000, 100_000])
    good = json.dumps(chat())
    number = rng.choice(["1e999", "-1e999", "99999999999999999999999", "-1", "1.5", "1e-400", '"9"', "[]", "NaN"])

    def sent(name, text, extra=()):
        return name, request(path, key, text if isinstance(text, bytes) else text.encode(), extra)

    return [
        sent("nothing", b""),
        sent("no JSON", rng.choice(["{", "[", "nul", "{]", '{"a":}', "\ufeff{}", "'", "{'model':1}", good[:-1], good + "}"])),
        sent("a JSON that is no object", rng.choice(["[]", "1", '"x"', "null", "true"])),
        sent("arrays in arrays", "[" * depth),
        sent("closed arrays in arrays", '{"model":"demo","messages":' + "[" * depth + "]" * depth + "}"),
        sent("objects in objects", '{"a":' * depth + "1" + "}" * depth),
        sent("bad UTF-8", b'{"model":"demo","messages":[{"role":"user","content":"\xff\xfe\xc0\xaf"}]}'),
        sent("a lone surrogate", '{"model":"\\ud800","messages":[]}'),
        sent("NUL bytes", b'{"model":"de\0mo","messages":[]}'),
        sent("a bomb", BOMB, ["content-encoding: gzip"]),
        sent("absurd numbers", good.replace('"max_tokens": 9', f'"max_tokens": {number}').replace('"demo"', '"no such"')),
        sent("a key twice", '{"model":"no such","model":"neither","messages":[],"messages":1}'),
        sent("the wrong types", rng.choice(['{"model":1,"messages":[]}', '{"model":"demo","messages":{}}', '{"model":["demo"]}', '{"messages":null}'])),
        sent("a model of great length", json.dumps({"model": "m" * rng.randint(1000, 200_000), "messages": [{"role": "user", "content": "x"}]})),
        sent("a model with line breaks", json.dumps({"model": "m\r\nx-evil: 1", "messages": [{"role": "user", "content": "x"}]})),
    ]


def shuffled(key, seed):
    """An endless stream of (name, format, bytes)."""
    rng = random.Random(seed)
    while True:
        batch = []
        for wire_format, path in PATHS.items():
            for kind in (framing, heads, bodies):
                batch += [(name, wire_format, data) for name, data in kind(path, key, rng)]
        rng.shuffle(batch)
        yield from batch
