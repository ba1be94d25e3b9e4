"""The three peers: how each is started, and what of it a client may expect behind Signalbox."""

import pathlib
from dataclasses import dataclass

HERE = pathlib.Path(__file__).parent
ENVIRONMENTS = HERE / "environments"


@dataclass(frozen=True)
class Peer:
    name: str
    command: list
    ready: str
    # A header that only this peer sends to the mock, and how it begins, as the proof that it was there.
    trace: tuple = ()
    environment: tuple = ()
    # What of its answers differs. Statuses are those the client of Signalbox sees.
    streams: bool = True
    vectors: bool = True
    unknown: int = 400
    unknown_says: str = ""
    missing: int = 404
    limited: int = 429
    retry_after: str = "7"
    # LiteLLM's usage chunk has a choice with an empty delta, OpenAI's has no choice.
    usage_choices: int = 0


LITELLM = Peer(
    name="litellm",
    command=[
        str(ENVIRONMENTS / "litellm/bin/litellm"), "--config", "{work}/litellm.yaml",
        "--host", "127.0.0.1", "--port", "{litellm_port}", "--telemetry", "False",
    ],
    # Without these it fetches its list of prices at start.
    environment=(("LITELLM_LOCAL_MODEL_COST_MAP", "True"), ("NO_DOCS", "True"), ("DO_NOT_TRACK", "1")),
    ready="/health/readiness",
    trace=("user-agent", "AsyncOpenAI"),
    unknown_says="Invalid model name passed in model=no-such-model",
    usage_choices=1,
)
PORTKEY = Peer(
    name="portkey",
    command=[
        "node", str(HERE / "node_modules/@portkey-ai/gateway/build/start-server.js"),
        "--port={portkey_port}", "--headless",
    ],
    environment=(("NODE_ENV", "production"),),
    ready="/",
    trace=("sec-fetch-mode", "cors"),
    unknown_says="Invalid provider passed",
)
OPTILLM = Peer(
    name="optillm",
    command=[
        str(ENVIRONMENTS / "optillm/bin/optillm"), "--host", "127.0.0.1", "--port", "{optillm_port}",
        "--base-url", "{mock}/v1", "--best-of-n", "2", "--log", "warning",
    ],
    # Its own credential, for what comes without one; OPTILLM_API_KEY would start its local models instead.
    environment=(("OPENAI_API_KEY", "sk-mock"),),
    ready="/health",
    trace=("user-agent", "OpenAI/Python"),
    # It has the whole answer before it writes the first event.
    streams=False,
    vectors=False,
    # Whatever went wrong, OptiLLM says 500 with the reason as a string, so that Signalbox says 502.
    unknown=502,
    unknown_says="'none' approach cannot be combined",
    missing=502,
    limited=502,
)
PEERS = [LITELLM, PORTKEY, OPTILLM]
