"""The bytes of live storage while code runs, on real or on fake tensors."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveStorage(TorchDispatchMode):
    """Counts the bytes of storages from the operation that first returns them to their end."""

    def __init__(self):
        super().__init__()
        self.sizes, self.now, self.peak = {}, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.count(tensor.untyped_storage())
        return result

    def count(self, storage):
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.ended, key)

    def ended(self, key):
        self.now -= self.sizes.pop(key)


class AdamState(torch.optim.Optimizer):
    """What Adam keeps, and a step that takes no memory of its own, as the fused one does not."""

    def __init__(self, parameters):
        super().__init__(parameters, {})
        self.kept = [torch.empty_like(p) for group in self.param_groups for p in group["params"] for _ in range(2)]

    def step(self, closure=None):
        pass
