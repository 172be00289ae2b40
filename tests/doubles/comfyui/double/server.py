# Copyright: (c) 2026, ascend.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes, each also below /api."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import uuid
from typing import Any

from aiohttp import web

from double.device import Device
from double.engine import Engine
from double.folders import Folders


class Server:
    def __init__(self, engine: Engine, folders: Folders, device: Device) -> None:
        self.engine, self.folders, self.device = engine, folders, device
        self.number = 0.0
        self.sockets: dict[str, web.WebSocketResponse] = {}
        engine.tell = self._tell

    def _tell(self, event: str, data: dict[str, Any]) -> None:
        for socket in self.sockets.values():
            asyncio.get_running_loop().create_task(socket.send_json({"type": event, "data": data}))

    def routes(self) -> list[web.RouteDef]:
        listed = [
            web.get("/ws", self.ws),
            web.get("/embeddings", self.embeddings),
            web.get("/models", self.model_kinds),
            web.get("/models/{folder}", self.models),
            web.get("/extensions", self.extensions),
            web.get("/view", self.view),
            web.get("/system_stats", self.system_stats),
            web.get("/prompt", self.queue_info),
            web.post("/prompt", self.prompt),
            web.get("/object_info", self.object_info),
            web.get("/object_info/{name}", self.object_info),
            web.get("/history", self.history),
            web.get("/history/{id}", self.history),
            web.post("/history", self.forget),
            web.get("/queue", self.queue),
            web.post("/queue", self.clear),
            web.post("/interrupt", self.nothing),
            web.post("/free", self.nothing),
            web.post("/upload/image", self.upload),
            web.get("/users", self.users),
            web.get("/userdata", self.userdata),
        ]
        return [*listed, *(web.route(item.method, "/api" + item.path, item.handler) for item in listed)]

    async def ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sid = request.query.get("clientId") or uuid.uuid4().hex
        self.sockets[sid] = socket
        try:
            await socket.send_json({"type": "status", "data": {"status": self.engine.queue_info(), "sid": sid}})
            async for _message in socket:
                pass
        finally:
            self.sockets.pop(sid, None)
        return socket

    async def system_stats(self, _request: web.Request) -> web.Response:
        system = {
            "os": os.name,
            "ram_total": 1 << 33,
            "ram_free": 1 << 32,
            "comfyui_version": "unknown",
            "python_version": sys.version,
            "pytorch_version": "0",
            "embedded_python": False,
            "argv": sys.argv,
        }
        memory = dict.fromkeys(("vram_total", "vram_free", "torch_vram_total", "torch_vram_free"), 1 << 32)
        return web.json_response({"system": system, "devices": [{**self.device._asdict(), **memory}]})

    async def prompt(self, request: web.Request) -> web.Response:
        logging.info("got prompt")
        body = await request.json()
        if "prompt" not in body:
            return web.json_response({"error": "no prompt", "node_errors": []}, status=400)
        error, outputs, wrong = self.engine.validate(body["prompt"])
        if error:
            logging.warning("invalid prompt: %s", error)
            return web.json_response({"error": error, "node_errors": wrong}, status=400)
        number = float(body.get("number", -self.number if body.get("front") else self.number))
        self.number += 1
        extra = {**body.get("extra_data", {}), **({"client_id": body["client_id"]} if "client_id" in body else {})}
        identity = self.engine.put(number, body["prompt"], extra, outputs)
        return web.json_response({"prompt_id": identity, "number": number, "node_errors": wrong})

    async def history(self, request: web.Request) -> web.Response:
        identity = request.match_info.get("id")
        kept = self.engine.history
        if identity is None:
            return web.json_response(dict(list(kept.items())[-int(request.query.get("max_items", len(kept) or 1)) :]))
        return web.json_response({identity: kept[identity]} if identity in kept else {})

    async def forget(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self.engine.history.clear()
        for identity in body.get("delete", []):
            self.engine.history.pop(identity, None)
        return web.Response()

    async def view(self, request: web.Request) -> web.StreamResponse:
        name = request.query.get("filename", "")
        folder = self.folders.typed(request.query.get("type", "output"))
        if not name:
            return web.Response(status=404)
        if folder is None or name.startswith("/") or ".." in name:
            return web.Response(status=400)
        inside = os.path.abspath(os.path.join(folder, request.query.get("subfolder", "")))
        if os.path.commonpath((inside, folder)) != folder:
            return web.Response(status=403)
        path = os.path.join(inside, os.path.basename(name))
        return web.FileResponse(path) if os.path.isfile(path) else web.Response(status=404)

    async def models(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        known = folder in self.folders.paths
        return web.json_response(self.folders.files(folder)) if known else web.Response(status=404)

    async def model_kinds(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self.folders.paths))

    async def embeddings(self, _request: web.Request) -> web.Response:
        return web.json_response([os.path.splitext(name)[0] for name in self.folders.files("embeddings")])

    async def extensions(self, _request: web.Request) -> web.Response:
        return web.json_response([])

    async def object_info(self, request: web.Request) -> web.Response:
        wanted = request.match_info.get("name")
        found = {
            name: {
                "input": {"required": node.inputs()},
                "output": node.outputs,
                "name": name,
                "display_name": name,
                "output_node": node.is_output,
                "python_module": node.module,
            }
            for name, node in self.engine.nodes.items()
            if wanted in (None, name)
        }
        return web.json_response(found)

    async def queue(self, _request: web.Request) -> web.Response:
        return web.json_response({"queue_running": self.engine.running, "queue_pending": self.engine.pending})

    async def queue_info(self, _request: web.Request) -> web.Response:
        return web.json_response(self.engine.queue_info())

    async def clear(self, request: web.Request) -> web.Response:
        body = await request.json()
        gone = set(body.get("delete", []))
        self.engine.pending = [] if body.get("clear") else [item for item in self.engine.pending if item[1] not in gone]
        return web.Response()

    async def upload(self, request: web.Request) -> web.Response:
        image = (await request.post()).get("image")
        if not isinstance(image, web.FileField):
            return web.Response(status=400)
        name = os.path.basename(image.filename)
        os.makedirs(self.folders.input, exist_ok=True)
        with open(os.path.join(self.folders.input, name), "wb") as handle:
            handle.write(image.file.read())
        return web.json_response({"name": name, "subfolder": "", "type": "input"})

    async def users(self, _request: web.Request) -> web.Response:
        return web.json_response({"storage": "server", "migrated": os.path.exists(self._user())})

    async def userdata(self, request: web.Request) -> web.Response:
        folder = os.path.join(self._user(), request.query.get("dir", ""))
        found = [
            os.path.relpath(os.path.join(base, name), folder)
            for base, _folders, names in os.walk(folder)
            for name in names
        ]
        return web.json_response(sorted(found)) if os.path.isdir(folder) else web.Response(status=404)

    def _user(self) -> str:
        return os.path.join(self.folders.user, "default")

    async def nothing(self, _request: web.Request) -> web.Response:
        return web.Response()


@web.middleware
async def same_origin(request: web.Request, handler: Any) -> web.StreamResponse:
    """403 when the origin is another one, but only where the host is a loopback address."""
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    if origin and host.partition(":")[0] in ("127.0.0.1", "localhost") and origin.partition("//")[2] != host:
        return web.Response(status=403)
    found: web.StreamResponse = await handler(request)
    return found


async def serve(args: argparse.Namespace, engine: Engine, folders: Folders, device: Device, web_root: str) -> None:
    app = web.Application(client_max_size=round(args.max_upload_size * 1024 * 1024), middlewares=[same_origin])
    app.add_routes(Server(engine, folders, device).routes())

    async def index(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(os.path.join(web_root, "index.html"))

    app.router.add_get("/", index)
    worker = asyncio.create_task(engine.work())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    logging.info("Starting server\n")
    for address in args.listen.split(","):
        await web.TCPSite(runner, address, args.port).start()
        logging.info("To see the GUI go to: http://%s:%d", address, args.port)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    worker.cancel()
    await runner.cleanup()
    folders.clean_temp()
