"""What PyTorch keeps for ever of each `torch.export` program that was loaded in this process, dropped again."""

from __future__ import annotations

import importlib
import linecache

# The name under which torch.fx compiles a graph's Python source.
_SOURCE = "<eval_with_key>"


def forget_programs() -> None:
    """Drops the sources of graphs, which serve tracebacks only, and the cache of shape inference.

    Programs that are loaded go on working; what they still need is made anew. PyTorch 2.13 offers no other way.
    """
    graph_module = importlib.import_module("torch.fx.graph_module")
    fake_tensor = importlib.import_module("torch._subclasses.fake_tensor")
    for name in [name for name in linecache.cache if name.startswith(_SOURCE)]:
        linecache.cache.pop(name, None)
    graph_module._loader.eval_cache.clear()
    fake_tensor.FakeTensorMode.cache_clear()
