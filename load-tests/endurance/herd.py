"""A thousand identical streamed requests at once: one upstream call, a thousand whole and equal answers; the same when
half of them are not streamed (two calls), and when the first client leaves after three chunks."""

import asyncio

from client import Client, chat
from stand import Gateway, Mock

HERD = 1000


async def run():
    mock = Mock()
    models = "  m: {deployments: [{provider: mock, model: 'm;ttft=1s;gap=20ms;chunks=100'}]}"
    gateway = Gateway({"mock": ("openai", mock.port, "/v1")}, models)
    client, figures, good = Client(gateway.port), {}, True

    async def herd(name, requests, calls, text):
        nonlocal good
        before = mock.calls()
        answers = await asyncio.gather(*requests(text), return_exceptions=True)
        whole = [answer for answer in answers if getattr(answer, "is_complete", False)]
        different = len({answer.body for answer in whole})
        made = mock.calls() - before
        figures[name] = {"upstream calls": made, "whole": len(whole), "different": different}
        good &= made == calls and len(whole) == HERD and different == calls

    def streamed(text):
        return [client.ask(chat("m", True, text, temperature=0)) for _ in range(HERD)]

    def mixed(text):
        return [client.ask(chat("m", number % 2 == 0, text, temperature=0)) for number in range(HERD)]

    def led_by_one_who_leaves(text):
        async def leave():
            reader, writer = await client.connect()
            body = chat("m", True, text, temperature=0)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-endurance\r\n"
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
            for _ in range(3):
                await reader.readuntil(b"\n\n")
            writer.transport.abort()

        async def later(request):
            await asyncio.sleep(0.2)
            return await request

        asyncio.ensure_future(leave())
        return [later(request) for request in streamed(text)]

    await herd("streamed", streamed, 1, "one")
    await herd("half of them streamed", mixed, 2, "two")
    await herd("the first leaves", led_by_one_who_leaves, 1, "three")
    gateway.stop(), mock.stop()
    return figures, good, []
