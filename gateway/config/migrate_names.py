"""Settings of other servers' configuration files, and the options that they are carried over to."""

from collections.abc import Mapping
from typing import Final

GUNICORN: Final[Mapping[str, str]] = {
    "control_socket_disable": "no-control-socket",
    "access_log_format": "access-logformat",
    "accesslog": "access-logfile",
    "dirty_apps": "dirty-app",
    "errorlog": "error-logfile",
    "keepalive": "keep-alive",
    "logconfig": "log-config",
    "logconfig_json": "log-config",
    "loglevel": "log-level",
    "pidfile": "pid",
    "preload_app": "preload",
    "proc_name": "name",
    "proxy_allow_ips": "proxy-allow-from",
    "raw_env": "env",
    "raw_paste_global_conf": "paste-global",
    "reload_extra_files": "reload-extra-file",
    "syslog": "log-syslog",
    "syslog_addr": "log-syslog-to",
    "syslog_facility": "log-syslog-facility",
    "syslog_prefix": "log-syslog-prefix",
    "uwsgi_allow_ips": "uwsgi-allow-from",
    "wsgi_app": "app",
}
"""Setting of gunicorn.conf.py -> option of another name."""

GUNICORN_SAME: Final = frozenset({
    "asgi_disconnect_grace_period", "asgi_lifespan", "asgi_loop", "backlog", "bind", "ca_certs",
    "capture_output", "casefold_http_method", "cert_reqs", "certfile", "chdir", "check_config",
    "ciphers", "control_socket", "control_socket_disable", "control_socket_mode", "daemon",
    "dirty_graceful_timeout", "dirty_threads", "dirty_timeout", "dirty_workers",
    "disable_redirect_access_to_syslog", "do_handshake_on_connect", "dogstatsd_tags",
    "enable_backlog_metric", "enable_stdio_inheritance", "forwarded_allow_ips",
    "forwarder_headers", "graceful_timeout", "group", "header_map", "http2_cleartext",
    "http2_initial_window_size", "http2_max_concurrent_streams", "http2_max_frame_size",
    "http2_max_header_list_size", "http_parser", "http_protocols", "initgroups", "keyfile",
    "limit_request_field_size", "limit_request_fields", "limit_request_line", "logger_class",
    "max_requests", "max_requests_jitter", "paste", "permit_obsolete_folding",
    "permit_unconventional_http_method", "permit_unconventional_http_version", "print_config",
    "protocol", "proxy_protocol", "pythonpath", "reload", "reload_engine", "reuse_port",
    "root_path", "sendfile", "spew", "ssl_version", "statsd_host", "statsd_prefix",
    "strip_header_spaces", "suppress_ragged_eofs", "threads", "timeout", "umask", "user",
    "websocket_max_message_size", "worker_class", "worker_connections", "worker_tmp_dir",
    "workers",
})  # fmt: skip
"""Settings of gunicorn.conf.py with the name of their option, but for dashes. A global of any other
name is no setting."""

HYPERCORN: Final[Mapping[str, str]] = {
    "access_log_format": "access-logformat",
    "accesslog": "access-logfile",
    "alpn_protocols": "http-protocols",
    "application_path": "app",
    "errorlog": "error-logfile",
    "h11_max_incomplete_size": "h11-max-incomplete-event-size",
    "h2_max_concurrent_streams": "http2-max-streams",
    "h2_max_header_list_size": "http2-max-header-list-size",
    "h2_max_inbound_frame_size": "http2-max-frame-size",
    "include_date_header": "date-header",
    "include_server_header": "server-header",
    "keep_alive_max_requests": "",
    "keep_alive_timeout": "keep-alive",
    "logconfig": "log-config",
    "loglevel": "log-level",
    "pid_path": "pid",
    "server_names": "server-name",
    "use_reloader": "reload",
    "wsgi_max_body_size": "max-request-body-size",
}
"""Key of hypercorn.toml -> option; likewise."""

UWSGI: Final[Mapping[str, str]] = {
    "callable": "",
    "chdir": "app-dir",
    "env": "env",
    "gid": "group",
    "harakiri": "request-timeout",
    "http": "bind",
    "http-socket": "bind",
    "listen": "backlog",
    "logto": "error-logfile",
    "logto2": "error-logfile",
    "max-requests": "max-requests",
    "max-requests-delta": "max-requests-jitter",
    "max-worker-lifetime": "workers-lifetime",
    "module": "app",
    "pidfile": "pid",
    "pp": "pythonpath",
    "processes": "workers",
    "py-autoreload": "reload",
    "python-path": "pythonpath",
    "pythonpath": "pythonpath",
    "reload-on-rss": "workers-max-rss",
    "safe-pidfile": "pid",
    "threads": "threads",
    "uid": "user",
    "umask": "umask",
    "worker-reload-mercy": "timeout-graceful-shutdown",
    "workers": "workers",
    "wsgi": "app",
    "wsgi-file": "app",
}
"""Key of uwsgi.ini -> option."""

UWSGI_IDLE: Final = frozenset({
    "auto-procname", "buffer-size", "cheaper", "die-on-term", "enable-threads", "lazy-apps",
    "log-5xx", "log-4xx", "master", "need-app", "no-orphans", "offload-threads", "plugin",
    "plugins", "procname", "single-interpreter", "strict", "thunder-lock", "vacuum",
    "post-buffering",
})  # fmt: skip
"""Keys that ask for what happens anyway, or for nothing that matters here."""

UWSGI_REASONS: Final[Mapping[str, str]] = {
    "socket": "the uwsgi protocol is not spoken: bind the same address, and in nginx write "
    "proxy_pass (and proxy_set_header Host, X-Forwarded-For, X-Forwarded-Proto) for uwsgi_pass",
    "daemonize": "it stays in the foreground, under systemd or Docker",
    "static-map": "say it as --static /PREFIX=FOLDER (docs/STATIC-FILES.md)",
    "https": "bind the address, with ssl-certfile and ssl-keyfile",
    "home": "start the propylon that is installed in that environment",
    "virtualenv": "start the propylon that is installed in that environment",
    "venv": "start the propylon that is installed in that environment",
    "chmod-socket": 'write bind = "unix:PATH?mode=660"',
    "touch-reload": "say propylon reload",
    "gevent": "there are no greenlets: raise threads",
    "async": "there are no greenlets: raise threads",
    "cron": "use cron or a systemd timer",
    "mule": "use a process of its own, or a task queue",
    "spooler": "use a task queue",
    "attach-daemon": "start it by a unit or container of its own",
}

HOOKS: Final[Mapping[str, str]] = {
    "on_starting": "do it before the service starts (ExecStartPre=, an entry point's script)",
    "on_reload": "nothing is called at a reload: new workers import the app anew",
    "when_ready": "systemd is told by itself (Type=notify); /health checks tell others",
    "pre_fork": "workers are not forked from the supervisor: leave it out",
    "post_fork": "do it where the app is imported, or in its lifespan: each worker runs both",
    "post_worker_init": "do it at the end of the app's module, or in its lifespan",
    "worker_int": "do it in the app's lifespan shutdown",
    "worker_abort": "a worker that hangs is replaced, and the log shows where it hung",
    "worker_exit": "do it in the app's lifespan shutdown, or with atexit",
    "child_exit": "nothing is called in the supervisor; prometheus_client: mark_process_dead goes "
    "into atexit",
    "on_exit": "do it after the service has stopped (ExecStopPost=)",
    "pre_exec": "propylon upgrade does that by itself",
    "pre_request": "use a middleware of the app",
    "post_request": "use a middleware of the app",
    "nworkers_changed": "propylon status tells how many workers there are",
    "ssl_context": "say it with the options ssl-*",
}
"""Hook of gunicorn.conf.py (a function in that file) -> where its work is done instead."""
