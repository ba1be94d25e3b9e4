"""Ten thousand idle connections and five hundred streams that are read slowly: what one costs, and whether the others
notice."""

import asyncio
import resource
import socket

from client import Client, at_rate, chat, percentile
from stand import Gateway, Mock

IDLE, SLOW, RATE, SECONDS, ROUNDS = 10_000, 500, 200, 6, 3


async def slow_reader(port):
    # A window so small that the gateway cannot leave the stream to the kernel.
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=2048)
    body = chat("endless", True)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-endurance\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def nibble(readers):
    while True:
        for reader, _ in readers:
            await reader.read(16)
            await asyncio.sleep(0)
        await asyncio.sleep(1)


async def run():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    mock, other = Mock(), Mock()
    models = """  m: {deployments: [{provider: mock, model: 'm;ttft=5ms'}]}
  endless: {deployments: [{provider: other, model: 'endless;chunks=5000'}]}"""
    gateway = Gateway({"mock": ("openai", mock.port, "/v1"), "other": ("openai", other.port, "/v1")}, models)
    client = Client(gateway.port)

    async def others():
        answers = await at_rate(RATE, SECONDS, lambda _: client.ask(chat("m", True)))
        if not all(getattr(answer, "is_complete", False) for answer in answers):
            bad = [answer for answer in answers if not getattr(answer, "is_complete", False)]
            raise SystemExit(f"other traffic fails: {len(bad)} of {len(answers)}: {[vars(b) if hasattr(b, 'body') else b for b in bad[:2]]}")
        return percentile([answer.took for answer in answers], 0.99) * 1e3

    await others()
    alone, beside, memory = [], [], {}
    for turn in range(ROUNDS):
        alone.append(await others())
        empty = gateway.resident_kib()
        readers = await asyncio.gather(*(slow_reader(gateway.port) for _ in range(SLOW)))
        nibbling = asyncio.create_task(nibble(readers))
        await asyncio.sleep(3)
        with_slow = gateway.resident_kib()
        idle = []
        for _ in range(IDLE // 500):
            idle += await asyncio.gather(*(client.connect() for _ in range(500)))
        await asyncio.sleep(1)
        with_both = gateway.resident_kib()
        if turn == 0:
            memory = {
                "KiB a slow stream": round((with_slow - empty) / SLOW, 1),
                "KiB an idle connection": round((with_both - with_slow) / IDLE, 1),
            }
        beside.append(await others())
        nibbling.cancel()
        for _, writer in idle + list(readers):
            writer.transport.abort()
        await asyncio.sleep(2)
    after = gateway.resident_kib()
    gateway.stop(), mock.stop(), other.stop()
    alone.sort(), beside.sort()
    figures = {
        "connections": IDLE, "slow streams": SLOW, **memory, "RSS MiB with both": with_both >> 10, "RSS MiB after": after >> 10,
        "p99 ms alone": [round(value, 1) for value in alone], "p99 ms beside them": [round(value, 1) for value in beside],
    }
    # Noise: the spread of the rounds alone, and 2 ms.
    return figures, beside[ROUNDS // 2] <= alone[-1] + 2, []
