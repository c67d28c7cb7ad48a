"""WebSocket echo and a chat room on aiohttp."""

import sys

from aiohttp import WSMsgType, web

members = set()


async def handle(request):
    socket = web.WebSocketResponse(max_msg_size=2**24)
    await socket.prepare(request)
    is_chat = request.path == "/chat"
    if is_chat:
        members.add(socket)
    try:
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                continue
            for each in list(members) if is_chat else (socket,):
                await each.send_str(message.data)
    finally:
        members.discard(socket)
    return socket


app = web.Application()
app.router.add_get("/echo", handle)
app.router.add_get("/chat", handle)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
