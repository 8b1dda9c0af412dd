"""A second device, which computes on the CPU and refuses operations on tensors of two devices, as a GPU does.

``use()`` registers it with torch, as ``sim:0``, for good: it is for a process of its own. Under ``SecondDevice()``
tensors may be made there. Their results are the CPU's to the last bit; what reads values waits for the device, and is
counted in ``reads``.
"""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

CPU = torch.device("cpu")
WAITS = {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim", "aten::equal", "aten::bincount"}
"""What has a result whose shape, or itself, depends on values: on a GPU it is waited for."""
TAKES_BOTH = {"aten::copy_", "aten::to.device", "aten::set_.source_Storage"}
TAKES_CPU_INDICES = {"aten::index.Tensor", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_"}
reads = Counter()


def use():
    """Register the device, and have torch's constructors know it. Returns it."""
    _setup_privateuseone_for_python_backend("sim")
    torch.Generator, torch.tensor = _Generator, _tensor
    return torch.device("sim", 0)


class SecondDevice(TorchDispatchMode):
    """Where tensors can be made on the second device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class There(torch.Tensor):
    """A tensor of the second device, around one of the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device("sim", 0),
        )

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})

    def __reduce_ex__(self, protocol):  # saved as of the CPU, where files are read to
        return self.detach().cpu().__reduce_ex__(protocol)

    def tolist(self):
        reads["tolist"] += 1
        return self.inner.tolist()

    def numpy(self, **_):
        raise TypeError("can't convert a tensor of the second device to NumPy: copy it with Tensor.cpu() first")

    def __array__(self, *_):
        return self.numpy()


def _run(func, args, kwargs):
    """The operation on the CPU; what comes out is where a GPU's would be."""
    name, leaves = func.name(), tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, There)]
    asked = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
    _refuse_two_devices(name, tensors, there)
    out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if name == "aten::_local_scalar_dense":
        reads[name] += bool(there)
        return out
    by_mask = name in TAKES_CPU_INDICES and any(t.dtype == torch.bool for t in tensors[1:])
    reads[name] += bool(there) and (name in WAITS or by_mask)
    if name in ("aten::_to_copy", "aten::to.device") and there and asked and asked.type != "sim":
        reads[name] += 1
    if (asked or (there[0].device if there else CPU)).type != "sim":
        return out
    wrapped = tree_map(lambda leaf: There(leaf) if type(leaf) is torch.Tensor else leaf, out)
    return wrapped if asked else return_and_correct_aliasing(func, args, kwargs, wrapped)


def _refuse_two_devices(name, tensors, there):
    here = [tensor for tensor in tensors if not isinstance(tensor, There) and tensor.dim()]
    if not there or not here or name in TAKES_BOTH or (name in TAKES_CPU_INDICES and isinstance(tensors[0], There)):
        return
    raise RuntimeError(f"{name}: tensors of two devices, of shapes {[tuple(tensor.shape) for tensor in tensors]}")


def _inner(leaf):
    if isinstance(leaf, There):
        return leaf.inner
    return CPU if isinstance(leaf, torch.device) else leaf


class _Generator(torch.Generator):
    def __new__(cls, device="cpu"):
        return super().__new__(cls, _inner(torch.device(device)))


def _tensor(data, *, device=None, make=torch.tensor, **options):
    made = make(data, **options)
    return made if device is None else made.to(device)
