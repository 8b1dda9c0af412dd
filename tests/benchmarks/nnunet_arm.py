"""nnU-Net's side of test_beside_nnunet: trains for a number of CPU seconds and predicts the test cases.

Run by the Python of nnU-Net's environment, with nnU-Net's folders in the environment variables that it asks for, and no
processes of its own for samples (nnUNet_n_proc_DA=0):

    python nnunet_arm.py DATASET SECONDS PREDICTIONS RESULT.json

Everything is nnU-Net's own (plan, network, samples, augmentation, loss, optimizer, prediction with mirroring) but the
clock: training ends after SECONDS of this process's CPU time, the learning rate falls as (1 - share of the time)^0.9
instead of (1 - epoch / 1000)^0.9, and no time is spent on validation.
"""

import json
import sys
from pathlib import Path
from time import process_time

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

CONFIGURATION = "3d_fullres"


def train(trainer, seconds):
    """Return the number of steps, and the CPU seconds of training and of making its samples."""
    trainer.on_train_start()
    trainer.network.train()
    steps, waited, start = 0, 0.0, process_time()
    while (share := (process_time() - start) / seconds) < 1:
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (1 - share) ** 0.9
        before = process_time()
        batch = next(trainer.dataloader_train)
        waited += process_time() - before
        trainer.train_step(batch)
        steps += 1
        if steps % 25 == 0:
            print(f"step {steps}, {process_time() - start:.0f} s", flush=True)
    return steps, process_time() - start, waited


def predict(trainer, images, output):
    """Predict a folder as nnUNetv2_predict does by default, and return the CPU seconds."""
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    start = process_time()
    predictor.predict_from_files_sequential(str(images), str(output))
    return process_time() - start


def main(dataset, seconds, output, result):
    """Train, predict, and write what it took."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder, raw = (Path(str(home), dataset) for home in (nnUNet_preprocessed, nnUNet_raw))
    plans = {**json.loads((folder / "nnUNetPlans.json").read_text()), "continue_training": False}
    listed = json.loads((raw / "dataset.json").read_text())
    trainer = nnUNetTrainer(plans, CONFIGURATION, 0, listed, device=torch.device("cpu"))
    trainer.disable_checkpointing = True
    trainer.initialize()
    steps, spent, waited = train(trainer, float(seconds))
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    predicting = predict(trainer, raw / "imagesTs", output)
    manager = trainer.configuration_manager
    Path(result).write_text(
        json.dumps(
            {
                "steps": steps,
                "batch": trainer.batch_size,
                "patch": list(manager.patch_size),
                "parameters": sum(tensor.numel() for tensor in trainer.network.parameters()),
                "training": spent,
                "sample": waited / steps / trainer.batch_size,
                "predicting": predicting,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
