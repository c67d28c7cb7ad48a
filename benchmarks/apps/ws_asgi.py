"""WebSocket echo and a chat room as an ASGI app, for uvicorn."""

members = set()


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    is_chat = scope["path"] == "/chat"
    if is_chat:
        members.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            content = {"text": text} if text is not None else {"bytes": event["bytes"]}
            reply = {"type": "websocket.send", **content}
            for each in list(members) if is_chat else (send,):
                await each(reply)
    finally:
        members.discard(send)
