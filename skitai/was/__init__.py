"""``from skitai import was``: the services of the request that is being served, or of the process outside any.

The module itself is the service object: its class forwards every public name to the current context. So
``was.get(...)``, ``import skitai.was._http_pool``, ``mock.patch("skitai.was.get")`` and reload all work, and nothing is
rebound. Every file in this package starts with an underscore, so that no submodule can be taken for a service.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from skitai.was import _context

if TYPE_CHECKING:
    from skitai.was._rpc import RpcService
    from skitai.was._services import Service
    from skitai.was._ws import WsService

    get: Service
    post: Service
    put: Service
    delete: Service
    patch: Service
    head: Service
    options: Service
    trace: Service
    upload: Service
    rpc: RpcService
    ws: WsService
    wss: WsService

    def __getattr__(name: str) -> Any: ...


class _Forwarder:
    """One public name of the module. No data descriptor: what a test patches into the module comes first."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, module: ModuleType | None, owner: type[ModuleType]) -> Any:
        return self if module is None else getattr(_context.current(), self._name)


class _ServiceModule(ModuleType):
    """The class of this module."""

    def __getattr__(self, name: str) -> Any:
        # What an app registered, or the context of a framework adds. Nothing with an underscore is a service.
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(_context.current(), name)

    def __str__(self) -> str:
        return str(_context.current())


for _name in _context.NAMES:
    setattr(_ServiceModule, _name, _Forwarder(_name))

sys.modules[__name__].__class__ = _ServiceModule
