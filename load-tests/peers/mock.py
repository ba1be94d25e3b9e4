"""What the mock behind everything has seen."""

import json
import urllib.request


class Mock:
    def __init__(self, url):
        self.url = url

    def clear(self):
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_mock/clear", method="POST"), timeout=5).close()

    def requests(self):
        """The bodies and headers of what arrived since `clear`, oldest first."""
        with urllib.request.urlopen(f"{self.url}/_mock/requests", timeout=5) as answer:
            found = json.load(answer)
        return [
            {
                "body": json.loads(one["body"] or "{}"),
                "headers": {name.lower(): value for name, value in one["headers"]},
            }
            for one in found
        ]
