"""CPS over several Adam steps, joint in one process or split over two: <folder>/<case>-<rank>.pt.

In two processes also a whole training on the tiny task, killed and resumed, in <folder>/trained.
"""

import sys
from contextlib import suppress
from pathlib import Path

import torch
from test_step_modes import SMALL_UNET, SMALL_UNETR, MixedTeaching, make, make_batch
from tiny_trainer import Kill, KillingBatches, tiny_trainer

from semiseg.backbones.unet import UNet
from semiseg.backbones.unetr import UNETR
from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner, trained_roles
from semiseg.engine.step_modes import StepMode
from semiseg.interfaces.batch import Step
from semiseg.strategies.cps import CrossPseudoSupervision

STEPS = 3
TRAINED = {"ema": 0.8, "gradient_clip": 0.5}
COUPLED = UNet(UNet.Options(**SMALL_UNET, norm="batch", dropout=0.2))
CASES = {
    "unet": (UNet(UNet.Options(**SMALL_UNET)), CrossPseudoSupervision, None),
    "unet_by_one": (UNet(UNet.Options(**SMALL_UNET)), CrossPseudoSupervision, 1),
    "unetr_by_three": (UNETR(UNETR.Options(**SMALL_UNETR)), CrossPseudoSupervision, 3),
    "norm_and_dropout": (COUPLED, CrossPseudoSupervision, None),
    "lessons_of_their_own": (COUPLED, MixedTeaching, None),
}


def start(name):
    """The strategy before its first step, in float64."""
    backbone, strategy_class, _ = CASES[name]
    return make(backbone, strategy_class)


def train(name, mode, runtime):
    """The state after some steps, and the bytes that were broadcast during them."""
    strategy, batch = start(name), make_batch()
    optimizers = {
        role.name: torch.optim.Adam(strategy.networks[role.name].parameters(), lr=1e-2, weight_decay=0.1)
        for role in trained_roles(strategy, mode, runtime)
    }
    runner = StepRunner(strategy, optimizers, runtime, mode)
    sent = []
    plain = torch.distributed.broadcast
    torch.distributed.broadcast = lambda tensor, source: (sent.append(tensor.numel()), plain(tensor, source))
    try:
        losses = [runner(batch, Step(index, STEPS, STEPS, seed=1)) for index in range(STEPS)]
    finally:
        torch.distributed.broadcast = plain
    runner.synchronize()
    optimizer_states = runner.optimizer_states()
    return {"weights": strategy.state_dict(), "optimizers": optimizer_states, "losses": losses, "sent": sum(sent)}


if __name__ == "__main__":
    folder, processes = Path(sys.argv[1]), Runtime("cpu", "32")
    for case, (_, _, m) in CASES.items():
        state = train(case, StepMode("split", m), processes)
        torch.save(state, folder / f"{case}-{processes.rank}.pt")
    with suppress(Kill):
        killed = KillingBatches(7)
        tiny_trainer(folder / "trained", batches=killed, runtime=processes, mode=StepMode("split"), **TRAINED).fit()
    tiny_trainer(folder / "trained", runtime=processes, **TRAINED).fit()
