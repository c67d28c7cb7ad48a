"""From a configuration to a running server: sockets, logs, processes, and what each worker does."""

from __future__ import annotations

import dataclasses
import os
import ssl
import sys
from collections.abc import Callable
from signal import Signals
from socket import socket
from typing import Final, NamedTuple

from skitai import cli
from skitai.configuration import Options
from skitai.constants import NAME
from skitai.errors import ConfigurationError, LaunchError
from skitai.hub import binding, daemon
from skitai.hub.loader import AppRef, Cluster, Directory
from skitai.hub.server import Server
from skitai.hub.site import Site
from skitai.hub.supervisor import EXIT_OK, EXIT_RESTART, Orders, Post, supervise
from skitai.hub.worker import Worker
from skitai.mounting import Mount
from skitai.net import logs
from skitai.net.certificates import readable_keys
from skitai.net.tls import certificates_of, server_context
from skitai.was import _cache
from skitai.was._context import wasc

PID_FILE: Final = ".pid"
# Seconds that ``stop`` waits beyond the grace that the server itself takes.
STOP_MARGIN: Final = 10.0
# What stops a server without a supervisor besides SIGTERM; SIGHUP asks whoever watches it for a new one.
_ALONE: Final = {Signals.SIGINT: EXIT_OK, Signals.SIGQUIT: EXIT_OK, Signals.SIGHUP: EXIT_RESTART}


def execute(options: Options, command: cli.Command, base: str) -> int:
    """Do what the command line asks for.

    Args:
        options: all of them.
        command: from :func:`skitai.cli.parse`.
        base: the directory of the run script, which becomes the working directory.

    Returns:
        The exit code of this process.

    Raises:
        LaunchError: nothing is mounted; none or one runs already; ``-v`` in the background.
        ConfigurationError: anything else that is wrong; the text says what to do.
    """
    os.chdir(base or os.curdir)
    pid_file = daemon.PidFile(os.path.join(os.getcwd(), PID_FILE))
    patience = options.grace + STOP_MARGIN
    if command.action == cli.STOP:
        daemon.stop(pid_file, patience)
        return EXIT_OK
    launcher = Launcher(options, command)
    if command.action == cli.FOREGROUND:
        return launcher.run(_ignore, _complain)
    if command.is_verbose:
        raise LaunchError(
            "-v logs to the console, which a server in the background does not have: leave one of them out"
        )
    if command.action == cli.RESTART and pid_file.owner() is not None:
        daemon.stop(pid_file, patience)
    output = os.path.join(options.logpath, "stderr.log") if options.logpath else None
    if output is None:
        sys.stderr.write("skitai: no logpath is set, so what this server logs is lost: skitai.run(logpath=...)\n")
    return daemon.start(pid_file, lambda report: launcher.run(report.ready, report.failed), output)


class Sockets(NamedTuple):
    """What a server listens on: those that it serves, and those that send their clients there."""

    serving: list[socket]
    redirecting: list[socket]

    def close(self) -> None:
        """Close them in this process."""
        for sock in [*self.serving, *self.redirecting]:
            sock.close()


class Launcher:
    """Starts one server.

    Args:
        options: of the server.
        command: of its command line.
    """

    def __init__(self, options: Options, command: cli.Command) -> None:
        if not options.mount:
            raise LaunchError("No mount point: call skitai.mount('/', app) before skitai.run()")
        self._mounts: list[Mount] = options.mount
        for mount in self._mounts:
            if isinstance(mount.target, Cluster):
                raise ConfigurationError(
                    f"'@{mount.target.name}' cannot be mounted at {mount.point}: this version has no reverse proxy yet"
                )
        self._options = options
        self._settings = options.server_settings()
        if options.backplane is not None:
            from skitai.hub import backplane

            backplane.check(options.backplane)
        self._is_fail_safe = command.is_fail_safe
        self._is_verbose = command.is_verbose
        # Read here, so that a wrong path or passphrase ends the start and not each worker. Workers get the context by
        # the fork, and with it the same keys of session tickets: what one gave out, another one takes.
        self._tls = self._read_tls()

    def run(self, on_ready: Callable[[], None], on_error: Callable[[ConfigurationError], None]) -> int:
        """Serve until a signal says stop.

        Args:
            on_ready: called once, when the server serves.
            on_error: told when a server under ``-f`` cannot start.

        Returns:
            The exit code.
        """
        self._open_logs()
        log = logs.current().server
        self._warn_of_readable_keys(log)
        self._warn_of_idle_settings(log)
        if self._is_fail_safe:
            return daemon.fail_safe(lambda life_line: self._serve(on_ready, life_line), log, on_error)
        return self._serve(on_ready, None)

    def _open_logs(self) -> None:
        path = self._options.logpath
        if path is None:
            logs.use(logs.Logs.to_console())
            return
        try:
            logs.use(logs.Logs.to_directory(path, console=self._is_verbose))
        except OSError as error:
            raise ConfigurationError(f"logpath {path} cannot be used: {error.strerror}") from error

    def _serve(self, on_ready: Callable[[], None], life_line: int | None) -> int:
        if life_line is not None:
            self._read_tls_again()  # this may be a new server in place of one that crashed after months
        sockets = self._bind()
        if self._settings.workers > 1 and self._options.backplane is None:
            logs.current().server.log(
                "each worker has its own group chats of WebSockets: share them by skitai.set_backplane('redis://...')",
                "warn",
            )
        if self._settings.workers:
            return supervise(
                Orders(
                    worker_main=lambda post: self._work(sockets, post),
                    workers=self._settings.workers,
                    log=logs.current().server,
                    grace=self._settings.grace,
                    reload_time=self._settings.reload_time,
                    worker_timeout=self._settings.worker_timeout,
                    on_ready=on_ready,
                    before_reload=self._read_tls_again,
                    on_stop=sockets.close,
                    life_line=life_line,
                )
            )
        return self._worker(sockets, None).run(on_ready, life_line, _ALONE)

    def _bind(self) -> Sockets:
        address, redirect_from = self._options.address, self._options.tls_settings().redirect_from
        serving = binding.bind(address, self._options.port)
        return Sockets(serving, [] if redirect_from is None else binding.bind(address, redirect_from))

    def _work(self, sockets: Sockets, post: Post) -> int:
        return self._worker(sockets, post).run(post.ready, post.life_line)

    def _worker(self, sockets: Sockets, post: Post | None) -> Worker:
        """Load the apps and make the server; runs in the process that will serve."""
        current = logs.current()
        index = 0 if post is None else post.index
        wasc.numthreads = self._settings.threads
        wasc.config.update({each.name: getattr(self._options, each.name) for each in dataclasses.fields(self._options)})
        _cache.results.capacity = self._options.rcache_objmax
        site = Site()
        failed = [mount.point for mount in self._mounts if not _mount(site, mount, current.app)]
        current.flush()
        if failed and post is not None and post.is_reload:
            # At first a mount that cannot be loaded answers 404 and the others run; but it must not replace one that
            # works. The supervisor keeps the old workers when a new one ends like this.
            raise ConfigurationError(f"the app at {', '.join(failed)} cannot be loaded: app.log says why")
        has_log = self._options.request_log
        server = Server(site, self._settings, current, max(index - 1, 0), has_access_log=has_log)
        if self._options.backplane is not None:
            self._share_rooms(server, self._options.backplane)
        messages = []
        for sock in sockets.serving:
            server.add_listener(sock, self._tls)
            messages.append(f"{NAME} (worker {index}) started on {binding.display(sock)}")
        for sock in sockets.redirecting:
            server.add_redirect(sock, sockets.serving[0].getsockname()[1])
            messages.append(f"{NAME} (worker {index}) redirects {binding.display(sock)} to https")
        return Worker(server, current, messages, post)

    def _share_rooms(self, server: Server, url: str) -> None:
        from skitai.hub.backplane import RedisBackplane

        backplane = RedisBackplane(url, logs.current().server, self._options.backplane_prefix)
        server.rooms.use(backplane, backplane.first_client())

    def _read_tls(self) -> ssl.SSLContext | None:
        options = self._options
        if not options.certfile:
            return None
        settings = options.tls_settings()
        return server_context(options.certfile, options.keyfile, options.passphrase, settings=settings)

    def _read_tls_again(self) -> None:
        """Before new workers are forked: they show the certificates of now, and give out tickets under new keys."""
        self._tls = self._read_tls()

    def _warn_of_readable_keys(self, log: logs.Logger) -> None:
        options = self._options
        if options.certfile:
            certificates = certificates_of(
                options.certfile, options.keyfile, options.passphrase, options.tls_settings()
            )
            for warning in readable_keys(certificates):
                log.log(warning, "warn")


    def _warn_of_idle_settings(self, log: logs.Logger) -> None:
        """Whoever gives a setting that serves nothing yet is told, once: the server is not what they asked for."""
        idle = self._options.idle()
        if idle:
            text = "taken and without effect, as this version has nothing that they set"
            log.log(f"settings that are {text}: {', '.join(idle)}", "warn")


def _mount(site: Site, mount: Mount, log: logs.Logger) -> bool:
    """Mount one target; returns whether its app could be loaded."""
    target = mount.target
    if isinstance(target, Directory):
        site.mount_directory(mount.point, str(target.path), mount.host)
        return True
    app = AppRef(mount.point, target, mount.pref)
    is_loaded = app.load(log)
    site.mount_app(mount.point, app, mount.host)
    return is_loaded


def _ignore() -> None:
    """Nobody waits for the server to be ready."""


def _complain(error: ConfigurationError) -> None:
    sys.stderr.write(f"skitai: {error}\n")
