"""The four headers in which a virtual key may arrive, over plain HTTP."""

import json
import urllib.error
import urllib.request

from suite import equal, holds

HEADERS = {
    "Authorization": "Bearer {}",
    "x-api-key": "{}",
    "api-key": "{}",
    "x-goog-api-key": "{}",
}


class KeyChecks:
    def __init__(self, base_url, key):
        self.base_url = base_url
        self.key = key

    def run(self, suite):
        for name, form in HEADERS.items():
            suite.check(f"the key as {name}", self.accepted, {name: form.format(self.key)})
            suite.check(f"a wrong key as {name}", self.refused, {name: form.format("sk-not-known")})
        suite.check("no key at all", self.refused, {})

    def chat(self, headers):
        body = {"model": "demo", "messages": [{"role": "user", "content": "Say hello"}]}
        request = urllib.request.Request(
            f"{self.base_url}/chat/completions",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def accepted(self, headers):
        status, answer = self.chat(headers)
        equal(status, 200, "status")
        equal(answer["choices"][0]["message"]["content"], "Say hello", "the answer")

    def refused(self, headers):
        status, answer = self.chat(headers)
        equal((status, answer["error"]["code"]), (401, "invalid_api_key"), "status and code")
        holds(answer["error"]["message"], "no message")
