"""Plug-ins: what other installed packages register, by the entry point group `cifs.plugins`.

    [project.entry-points."cifs.plugins"]
    my-package = "my_package.my_module"

Importing the named module is all that is asked of it: its decorators (`@IMGFS.register("mine")`, …) do the rest, and
what they registered is in the library, on the command line, in REST and in the dashboard's forms. Modules are imported
once, when a registry is first read, and never by importing cifs.
"""

import sys
import warnings
from importlib.metadata import EntryPoint, entry_points
from threading import RLock

GROUP = "cifs.plugins"
_lock = RLock()
_begun = _done = False


class PluginWarning(RuntimeWarning):
    """A plug-in could not be loaded."""


def load_plugins() -> None:
    """Imports every plug-in, the first time only. One that fails is named in a PluginWarning and stops no other."""
    global _begun, _done
    if _done:
        return
    with _lock:
        if _begun or _importing_ours():  # begun: a plug-in that reads a registry gets what there is so far
            return
        _begun = True
        for plugin in sorted(entry_points(group=GROUP), key=lambda point: point.name):
            _load(plugin)
        _done = True


def _load(plugin: EntryPoint) -> None:
    try:
        plugin.load()
    except Exception as error:
        package = f"{plugin.dist.name} {plugin.dist.version}" if plugin.dist else "an unknown package"
        warnings.warn(
            f"plug-in {plugin.name!r} of {package} could not be loaded: {type(error).__name__}: {error}",
            PluginWarning,
            stacklevel=2,
        )


def _importing_ours() -> bool:
    """Whether a module of ours is only half there, so that a plug-in could not import it yet."""
    ours = (module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "cifs")
    return any(getattr(getattr(module, "__spec__", None), "_initializing", False) for module in ours)
