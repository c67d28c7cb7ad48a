"""Serve the texts of the HTTP/2 cases as static files: ``python serve_nginx.py PORT CERTIFICATE``, by one nginx worker.

The files and the configuration go to a directory beside the certificate, which whoever made that removes.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from http2_wsgi import BODIES

CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type "text/plain; charset=utf-8";
    sendfile on;
    tcp_nopush on;
    open_file_cache max=100;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        root {folder}/files;
        index index;
    }}
}}
"""

if __name__ == "__main__":
    port, certificate = sys.argv[1:]
    program = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if program is None:
        sys.exit("nginx is not installed: apt-get install nginx-light")
    folder = Path(certificate).parent / f"nginx-{port}"
    (folder / "files").mkdir(parents=True)
    for path, body in BODIES.items():
        (folder / "files" / (path.strip("/") or "index")).write_bytes(body)
    # Its workers give root up otherwise, and cannot read the directory.
    user = "user root;" if os.geteuid() == 0 else ""
    text = CONFIGURATION.format(user=user, folder=folder, port=port, certificate=certificate)
    (folder / "nginx.conf").write_text(text)
    os.execv(program, [program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")])
