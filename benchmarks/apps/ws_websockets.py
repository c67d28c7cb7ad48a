"""WebSocket echo and a chat room on the asyncio server of the websockets library."""

import asyncio
import sys

from websockets.asyncio.server import broadcast, serve

members = set()


async def handle(connection):
    is_chat = connection.request.path.startswith("/chat")
    if is_chat:
        members.add(connection)
    try:
        async for message in connection:
            if is_chat:
                broadcast(members, message)
            else:
                await connection.send(message)
    finally:
        members.discard(connection)


async def main():
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), max_size=2**24, ping_interval=None):
        await asyncio.Future()


asyncio.run(main())
