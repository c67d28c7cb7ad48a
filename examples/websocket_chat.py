"""A chat page: everybody who has the same room open sees what the others say.

python websocket_chat.py
then open http://127.0.0.1:5000/?room=tea&name=Kim in one window and http://127.0.0.1:5000/?room=tea&name=Lee in another

REDIS=redis://127.0.0.1:6379/0 WORKERS=2 python websocket_chat.py     the same over two worker processes
"""

from __future__ import annotations

import os
from typing import Any

import skitai
from skitai.saddle import Saddle

app = Saddle(__name__)

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Chat</title>
<style>
body { font-family: system-ui, sans-serif; max-width: 32em; margin: 2em auto; padding: 0 1em; color: #222 }
#said { border: 1px solid #ccc; border-radius: 8px; min-height: 14em; padding: .6em 1em; list-style: none }
#said li { padding: .25em 0 } #said .event { color: #888; font-style: italic } #said b { color: #0a5 }
form { display: flex; gap: .5em } input { flex: 1; font: inherit; padding: .5em }
button { font: inherit; padding: .5em 1em }
</style></head>
<body>
<h1>Room <span id="room"></span></h1>
<ul id="said"></ul>
<form id="form"><input id="text" autocomplete="off" placeholder="Say something"><button>Send</button></form>
<script>
const query = new URLSearchParams(location.search);
const room = query.get("room") || "lobby", name = query.get("name") || "guest";
document.getElementById("room").textContent = room;
const said = document.getElementById("said");
function show(text, who) {
  const line = said.appendChild(document.createElement("li"));
  if (who) { line.appendChild(document.createElement("b")).textContent = who + ": "; }
  else { line.className = "event"; }
  line.appendChild(document.createTextNode(text));
}
const scheme = location.protocol === "https:" ? "wss" : "ws";
const socket = new WebSocket(`${scheme}://${location.host}/chat?` + new URLSearchParams({room, name}));
socket.onmessage = (event) => { const m = JSON.parse(event.data); show(m.text, m.who); };
socket.onclose = (event) => show(`disconnected (${event.code})`);
function say(text) { socket.send(JSON.stringify({text})); }
document.getElementById("form").onsubmit = (event) => {
  event.preventDefault();
  const text = document.getElementById("text");
  if (text.value) { say(text.value); text.value = ""; }
};
</script>
</body></html>
"""


@app.route("/")
def page(was: Any, room: str = "", name: str = "") -> str:
    """The page; its script reads the query."""
    return PAGE


@app.route("/chat")
def chat(was: Any, message: Any, room: str, name: str = "guest") -> Any:
    """What a client says goes to all of its room; so do the events."""
    if was.wsinit():
        return was.wsconfig(skitai.WS_GROUPCHAT, 600, skitai.WS_MSG_JSON)
    if was.wsopened():
        return {"text": f"{name} has entered"}
    if was.wsclosed():
        return {"text": f"{name} has left"}
    return {"who": name, "text": str(message["text"])[:1000]}


if __name__ == "__main__":
    if "REDIS" in os.environ:
        skitai.set_backplane(os.environ["REDIS"])
    skitai.mount("/", app)
    skitai.run(port=int(os.environ.get("PORT", "5000")), workers=int(os.environ.get("WORKERS", "1")))
