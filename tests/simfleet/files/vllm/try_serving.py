# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the server on a model and ask it something: a trimmed image that cannot answer is none.

usage: try_serving.py MODEL_FOLDER. Ends with 0 after a real chat completion.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

READY_SECONDS = 300
OPTIONS = ["--served-model-name", "chat", "--max-model-len", "256", "--dtype", "float32", "--enforce-eager"]
SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}


def free_port():
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, path, body=None):
    """The parsed reply, or None while nothing answers; an HTTP error is an error."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = reply.read().decode()
    except urllib.error.HTTPError:
        raise
    except OSError:
        return None
    return json.loads(text) if text else {}


def main(folder):
    """Serve, ask, stop."""
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder, *OPTIONS]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], env={**os.environ, **SETTINGS})
    try:
        deadline = time.monotonic() + READY_SECONDS
        while ask(port, "/health") is None:
            if server.poll() is not None:
                sys.exit(f"the server ended with {server.returncode}")
            if time.monotonic() > deadline:
                sys.exit(f"the server was not ready within {READY_SECONDS} s")
            time.sleep(0.5)
        messages = [{"role": "user", "content": "How is the fleet?"}]
        reply = ask(
            port,
            "/v1/chat/completions",
            {"model": "chat", "messages": messages, "max_tokens": 32, "temperature": 0},
        )
        answer = reply["choices"][0]["message"]["content"]
        print(f"== it answered: {answer!r}")
        if not answer:
            sys.exit("the answer is empty")
    finally:
        server.terminate()
        server.wait(timeout=60)


main(sys.argv[1])
