"""Several sites on one port, told apart by the name that the client asks for.

python virtual_hosts.py
curl -H 'Host: www.example.com' http://127.0.0.1:5000/        the site of www.example.com and example.com
curl -H 'Host: shop.example.org' http://127.0.0.1:5000/       the site of every name below example.org
curl http://127.0.0.1:5000/                                   any other name
curl -i -H 'Host: example.com' http://127.0.0.1:5000/hello/   404: only the default site has it
"""

from __future__ import annotations

import os

from flask import Flask, request

company = Flask("company")
shops = Flask("shops")
others = Flask("others")


@company.get("/")
def about() -> str:
    return "About the company\n"


@shops.get("/")
def shop() -> str:
    return f"A shop called {request.host.partition('.')[0]}\n"


@others.get("/")
def nobody() -> str:
    return "No site has this name\n"


if __name__ == "__main__":
    import skitai

    skitai.vmount("www.example.com example.com", "/", company)
    skitai.vmount(".example.org", "/", shops)
    skitai.mount("/", others)
    skitai.mount("/hello", "hello_wsgi.py")
    skitai.run(port=int(os.environ.get("PORT", 5000)))
