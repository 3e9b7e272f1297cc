"""The proxies that stand in front of an app server, each as its manual puts it: connections to the
app kept alive, WebSockets upgraded, bodies of any size, no access log."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .ground import Commands, Ground
from .processes import program

MOST = 20_000
"""Connections."""


def nginx_conf(
    folder: Path,
    port: int,
    *,
    certificate: tuple[str, str] | None = None,
    locations: int = 0,
    access_log: str = "off",
    shutdown: float | None = None,
    http2: bool = False,
) -> str:
    """In front of what listens on the folder's app.sock."""
    listen, tls = f"127.0.0.1:{port} backlog=2048", ""
    if certificate is not None:
        listen += " ssl http2" if http2 else " ssl"
        tls = "ssl_certificate {}; ssl_certificate_key {};".format(*certificate)
        tls += "ssl_protocols TLSv1.2 TLSv1.3;"  # as everybody else; 1.22 leaves 1.3 out
    forward = """
        proxy_pass http://app; proxy_http_version 1.1;
        proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;"""
    places = [f"/r{number}/" for number in range(locations)] or ["/"]
    blocks = "".join(f"location {place} {{ {forward} }}\n" for place in places)
    grace = "" if shutdown is None else f"worker_shutdown_timeout {shutdown:.0f}s;"
    return f"""
        worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
        worker_rlimit_nofile {MOST}; {grace}
        events {{ worker_connections {MOST}; }}
        http {{
          log_format json escape=json '{{"time":"$time_iso8601","client":"$remote_addr",'
            '"request":"$request","status":$status,"bytes":$bytes_sent,"seconds":$request_time,'
            '"agent":"$http_user_agent","referer":"$http_referer"}}';
          access_log {access_log};
          keepalive_requests 100000000; client_max_body_size 0;
          client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
          fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
          scgi_temp_path {folder}/scgi;
          map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
          upstream app {{ server unix:{folder}/app.sock; keepalive 1024; }}
          server {{ listen {listen}; {tls} {blocks} }}
        }}"""


def start_nginx(folder: Path, conf: str) -> list[str]:
    path = folder / "nginx.conf"
    path.write_text(conf)
    return [program("nginx"), "-c", str(path), "-e", f"{folder}/nginx.log"]


def nginx(
    behind: Commands,
    *,
    locations: int = 0,
    access_log: bool = False,
    http2: bool = False,
    shutdown: Callable[[Any], float | None] = lambda ground: None,
) -> Commands:
    """`behind` listens on the ground's socket. `shutdown`: seconds that its workers have for it."""

    def commands(ground: Ground) -> list[list[str]]:
        log = f"{ground.folder}/access.log json" if access_log else "off"
        conf = nginx_conf(
            ground.folder, ground.port, certificate=ground.certificate if ground.tls else None,
            locations=locations, access_log=log, shutdown=shutdown(ground), http2=http2,
        )  # fmt: skip
        return [*behind(ground), start_nginx(ground.folder, conf)]

    return commands


def haproxy(behind: Commands) -> Commands:
    def commands(ground: Ground) -> list[list[str]]:
        tls = ""
        if ground.tls:
            chain, key = (Path(path).read_text() for path in ground.certificate)
            (ground.folder / "both.pem").write_text(chain + key)
            tls = f"ssl crt {ground.folder}/both.pem"
        path = ground.folder / "haproxy.cfg"
        path.write_text(f"""
global
    nbthread 1
    maxconn {MOST // 3}
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    timeout tunnel 1h
frontend clients
    bind {ground.bind} backlog 2048 {tls}
    default_backend app
backend app
    http-reuse always
    server app unix@{ground.socket}
""")
        return [*behind(ground), [program("haproxy"), "-f", str(path), "-db"]]

    return commands


def caddy(behind: Commands) -> Commands:
    """It uses every core, as it does by itself."""

    def commands(ground: Ground) -> list[list[str]]:
        tls = "tls {} {}".format(*ground.certificate) if ground.tls else ""
        path = ground.folder / "Caddyfile"
        path.write_text(f"""
{{
    admin off
    auto_https off
    default_sni 127.0.0.1
    storage file_system {ground.folder}/caddy
}}
{ground.url} {{
    {tls}
    reverse_proxy unix/{ground.socket}
}}
""")
        run = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(path)]
        return [*behind(ground), run]

    return commands
