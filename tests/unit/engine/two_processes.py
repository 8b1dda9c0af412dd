"""Three steps of CPS in float64 on one process or under torchrun; rank 0 writes the weights to the path given."""

import sys

import torch
from tiny_task import MadeBatches
from torch import nn

from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.interfaces.batch import Step
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.testing.batches import in_double


class Net(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv3d(4, 2, 1))
        self.unused = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.layers(x)


runtime = Runtime("cpu", "32")
networks = {"student_a": Net(1), "student_b": Net(2)}
strategy = CrossPseudoSupervision(CrossPseudoSupervision.Options(), networks).double()
optimizers = {
    role: torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=0.1) for role, net in strategy.networks.items()
}
runner = StepRunner(strategy, optimizers, runtime)
share = slice(runtime.rank, None, runtime.world)
for index in range(3):
    # Three labeled samples: one process has two of them; one unlabeled: the other process has none.
    whole = MadeBatches(labeled=3, unlabeled=1).batch(index)
    whole = in_double(whole)
    parts = runner(whole.part(share, share), Step(index, 3, 3, seed=1))
if runtime.is_main:
    weights = {name: p.detach() for name, p in strategy.named_parameters()}
    kept_out = all(bool(net.unused == 1) for net in strategy.networks.values())
    norms = sum(float(w.norm()) for w in weights.values())
    torch.save(
        {"weights": weights, "loss": parts["loss"], "norms": norms, "unused_grad_kept_out": kept_out}, sys.argv[1]
    )
