"""Writes the OpenAPI document with ids of things that are there, so that calls reach further than "there is no such key".

    prepare.py OPENAPI_JSON BASE_URL TOKEN

Each operation gets a key, team, user, account and token of its own, since some delete what they are given.
"""

import json
import sys
import urllib.request

path, base, token = sys.argv[1:]


def post(target, body):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(base + target, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def ids(operation, word):
    """One id for each path parameter; what needs nothing else is made alone, so that it can be deleted."""
    if "/teams" in operation:
        return post("/api/v1/teams", {"name": f"team {word}"})["id"]
    if "/users" in operation:
        return post("/api/v1/users", {"name": f"user {word}"})["id"]
    if "/admin" in operation:
        admin = post("/api/v1/admins", {"name": f"account {word}", "role": "viewer"})["id"]
        is_token = "/admin-tokens" in operation
        return post(f"/api/v1/admins/{admin}/tokens", {"name": word})["id"] if is_token else admin
    return post("/api/v1/keys", {"name": f"key {word}"})["id"]


with open(path) as file:
    document = json.load(file)
number = 0
for target, methods in document["paths"].items():
    for operation in methods.values():
        for parameter in operation["parameters"]:
            if parameter["in"] == "path" or parameter["name"] == "key":
                number += 1
                parameter["example"] = ids(target, str(number))
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        members = schema.get("schema", {}).get("properties", {})
        if not members:
            continue
        number += 1
        example = {}
        for name in ("name", "key_alias"):
            if name in members:
                example[name] = f"made {number}"
        if "key" in members and target != "/key/generate" and "{id}" not in target:
            example["key"] = ids(target, str(number))
        if "keys" in members:
            example["keys"] = [ids(target, str(number))]
        schema["example"] = example
with open(path, "w") as file:
    json.dump(document, file)
