"""WebSocket echo and a chat room on our server: Saddle, one worker."""

import sys

import skitai
from skitai.saddle import Saddle

app = Saddle(__name__)


@app.route("/echo")
def echo(was, message):
    if was.wsinit():
        return was.wsconfig(skitai.WS_SIMPLE, 600)
    return None if was.wshasevent() else message


@app.route("/chat")
def chat(was, message, room):
    if was.wsinit():
        return was.wsconfig(skitai.WS_GROUPCHAT, 600)
    return None if was.wshasevent() else message


@app.route("/")
def ready(was):
    return "ready"


if __name__ == "__main__":
    skitai.mount("/", app)
    skitai.run(port=int(sys.argv.pop()), workers=0, request_log=False, logpath="/tmp")
