"""What the scripted provider has an agent do: one file, written with the agent's own tool.

`turn` reads one request of either format and says what the model answers. It knows no wire format beyond
where messages and tools are.
"""

import base64
import json
import re

# What an escape lost or a byte cut in two would change.
CONTENT = 'Signal "7" at C:\\yard: 15 €, größer, 信号 🚦\n\tdone\n'
WRONG_CONTENT = "something else\n"
FINAL = "The signal is set."
# The prompt names the file so, since the provider cannot know where the agent works.
REQUEST = re.compile(r"Write the file (/[\w./-]+\.txt)")


def prompt(path):
    return f"Write the file {path} as you were told to, then say that it is done."


def shell(path, content):
    # In base64, so that no shell's quoting matters.
    return f"echo {base64.b64encode(content.encode()).decode()} | base64 -d > {path}"


# Each agent's tool for the task, with its arguments. The first that a request offers is taken.
TOOLS = {
    "Write": lambda path, content: {"file_path": path, "content": content},  # Claude Code
    "write": lambda path, content: {"filePath": path, "content": content},  # opencode
    "exec_command": lambda path, content: {"cmd": shell(path, content)},  # Codex CLI
    "shell_command": lambda path, content: {"command": shell(path, content)},  # Codex CLI, other models
    "shell": lambda path, content: {"command": ["bash", "-c", shell(path, content)]},  # Codex CLI, older
}


def turn(request, content):
    """Text, or the name and the arguments of one call."""
    messages = request.get("messages", [])
    asked = REQUEST.search(json.dumps(messages, ensure_ascii=False))
    if not asked or has_tool_result(messages):
        return FINAL, None
    path = asked.group(1)
    offered = {tool.get("name") or tool.get("function", {}).get("name") for tool in request.get("tools", [])}
    for name, arguments in TOOLS.items():
        if name in offered:
            return None, (name, arguments(path, content))
    if not offered:
        # aider has no tools: it takes whole files from the text.
        return f"{path.rsplit('/', 1)[-1]}\n```\n{content}```\n\n{FINAL}", None
    raise ValueError(f"none of {sorted(TOOLS)} among the tools {sorted(filter(None, offered))}")


def has_tool_result(messages):
    for message in messages:
        parts = message.get("content") if isinstance(message.get("content"), list) else []
        if message.get("role") == "tool" or any(part.get("type") == "tool_result" for part in parts):
            return True
    return False
