"""A small HTTP/1.1 client that notices every cut: it judges an answer by its own end, not by the connection's."""

import asyncio
import json
import time

from stand import KEY


class Answer:
    def __init__(self, status, head, body, whole, first, took):
        self.status, self.head, self.body, self.whole = status, head, body, whole
        self.first, self.took = first, took

    def header(self, name):
        for line in self.head.split("\r\n"):
            if line.lower().startswith(f"{name}:"):
                return line.split(":", 1)[1].strip()
        return None

    @property
    def is_complete(self):
        """The whole of a successful answer, its own end mark included."""
        return self.status == 200 and self.whole and (b"[DONE]" in self.body or b'"usage"' in self.body)


def chat(model, stream, text="one two three four", **fields):
    return json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}], **fields})


class Client:
    """Keeps connections as an SDK's pool does. A kept one that was closed before any byte of an answer is replaced once
    and counted in `stale`."""

    def __init__(self, port):
        self.port, self.idle, self.stale = port, [], 0

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)

    async def ask(self, body, timeout=60):
        began = time.perf_counter()
        request = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {KEY}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
        ).encode()
        async with asyncio.timeout(timeout):
            # As every pool does: what the other side has closed already is not used again.
            while self.idle and is_closed(*self.idle[-1]):
                self.idle.pop()[1].close()
            kept = bool(self.idle)
            reader, writer = self.idle.pop() if kept else await self.connect()
            try:
                writer.write(request)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
            except (ConnectionError, asyncio.IncompleteReadError):
                writer.close()
                if not kept:
                    raise
                self.stale += 1
                reader, writer = await self.connect()
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
            first = time.perf_counter() - began
            head = head.decode("latin-1")
            body, whole = await read_body(reader, head.lower())
        if whole and "connection: close" not in head.lower():
            self.idle.append((reader, writer))
        else:
            writer.close()
        return Answer(int(head.split()[1]), head, body, whole, first, time.perf_counter() - began)


def is_closed(reader, writer):
    return reader.at_eof() or reader.exception() is not None or writer.is_closing()


async def read_body(reader, head):
    """The body, and whether it came to its proper end."""
    body = b""
    try:
        if "transfer-encoding: chunked" in head:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        else:
            length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
            body = await reader.readexactly(int(length.split(":")[1]))
    except (ConnectionError, asyncio.IncompleteReadError):
        return body, False
    return body, True


async def at_rate(rate, seconds, ask):
    """Calls `ask(number)` so many times a second, whatever the answers take (an open loop); returns what came."""
    tasks, began = [], time.perf_counter()
    for number in range(int(rate * seconds)):
        pause = began + number / rate - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        elif number % 50 == 0:
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(ask(number)))
    return await asyncio.gather(*tasks, return_exceptions=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")
