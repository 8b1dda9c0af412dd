"""Checkpoints: written atomically with a checksum; the last two are kept, and damaged ones are skipped and reported."""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from semiseg.errors import RunError, TrainingError
from semiseg.io.atomic import atomic_file, sweep_temporaries, write_text

KEPT = 2
_BACK = "Restore it from a copy of the run folder, or, if the run is unfinished, continue it with --resume."
_NAME = re.compile(r"step-(\d+)\.pt")


def save_state(path: Path, state: Mapping[str, Any]) -> str:
    """Write a state (tensors and plain values) and its checksum; return the SHA-256.

    Raises StorageError on a full disk.
    """

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.save(dict(state), file)

    return _put(path, write)


def _put(path: Path, write: Callable[[Path], object]) -> str:
    """Write a file with its checksum; return the SHA-256.

    The checksum file is written first and lists the old file's checksum as well until the new file is in place. So
    whenever a process is killed, there is a complete file with a listed checksum.
    """
    before = _known_digests(path)
    with atomic_file(path) as temporary:
        write(temporary)
        digest = file_digest(temporary)
        _write_digests(path, [digest, *before])
    if before:
        _write_digests(path, [digest])
    return digest


def load_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a state. Raises RunError if the file is missing, damaged, holds more than data, or holds no state."""
    if not path.exists():
        raise RunError(f"There is no checkpoint {path}.")
    if path.suffix == ".safetensors":
        return _published(path, device)
    if not is_whole(path):
        raise RunError(f"The checkpoint {path} is damaged: it does not match its checksum.", _BACK)
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever error the reader raises, the file is not ours
        raise RunError(f"The checkpoint {path} cannot be read: {error}", _BACK) from error
    if not isinstance(state, dict):
        raise RunError(f"The checkpoint {path} contains a {type(state).__name__}, not a state saved by semiseg.", _BACK)
    return state


def _published(path: Path, device: torch.device | str) -> dict[str, Any]:
    """Read the weights of a published run, with the checkpoint they are from and the digest of its model.json."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # whatever error the reader raises, the file is damaged
        raise RunError(f"The weights {path} cannot be read: {error}", "Download them again.") from error
    return {"strategy": tensors, **{key: about[key] for key in ("checkpoint", "model") if key in about}}


def load_weights_of(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a state with a strategy's weights. Raises RunError as ``load_state``, and if there are no weights."""
    state = load_state(path, device)
    weights = state.get("strategy")
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise RunError(f"The checkpoint {path} contains no strategy weights: semiseg did not save it.", _BACK)
    return state


def is_whole(path: Path) -> bool:
    """Return whether a checkpoint matches its checksum."""
    return file_digest(path) in _known_digests(path)


def checksum_file(path: Path) -> Path:
    """Return the path of a checkpoint's checksum."""
    return path.with_name(path.name + ".sha256")


def _known_digests(path: Path) -> list[str]:
    if not checksum_file(path).exists():
        return []
    lines = checksum_file(path).read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def _write_digests(path: Path, digests: Iterable[str]) -> None:
    write_text(checksum_file(path), "".join(f"{digest}  {path.name}\n" for digest in digests))


def weights_file(folder: Path, name: str) -> Path:
    """Return the path of ``best`` or ``last`` in a folder of checkpoints."""
    return folder / f"{name}.pt"


def same_weights(one: Path, other: Path) -> bool:
    """Return whether two files hold the same weights, regardless of the step and device they were saved at.

    Files with equal weights may differ: a resumed run writes what it has read, not necessarily as the same bytes.
    Raises RunError if a file is missing or damaged.
    """
    first, second = (load_weights_of(path)["strategy"] for path in (one, other))
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


def snapshot_file(folder: Path, stage: str, number: int) -> Path:
    """Return the path of a stage's snapshot (weights only), numbered from 1, in a folder of checkpoints."""
    return weights_file(folder, f"snapshot-{stage}-{number}")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_finite(networks: nn.ModuleDict, step: int) -> None:
    """Raise TrainingError, before saving, if a parameter of these networks is not finite or a buffer is NaN.

    A buffer may be infinite, for example a mask.
    """
    bad = [name for name, parameter in networks.named_parameters() if not parameter.isfinite().all()]
    bad += [name for name, buffer in networks.named_buffers() if buffer.isnan().any()]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise TrainingError(
            f"Weights are not finite after step {step}: {bad[0]}{more}.",
            "They are not saved; the last good checkpoint is kept. Lower training.optimizer.lr, or set"
            " training.precision=32.",
        )


def mend_weights(folder: Path, ended_with: Mapping[str, str]) -> list[str]:
    """Restore lost or damaged weights of a finished run from identical copies; return notes.

    ``ended_with``: SHA-256 of each file of weights, by name.
    """
    notes = []
    for name, digest in ended_with.items():
        path = weights_file(folder, name)
        if path.exists() and file_digest(path) == digest:
            continue
        copies = [other for other in sorted(folder.glob("*.pt")) if file_digest(other) == digest]
        if copies:
            source = copies[0]
            _put(path, partial(shutil.copyfile, source))
            notes.append(f"{path} was missing or damaged and has been restored from {source.name}, which is identical")
        else:
            back = "restore it from a copy of the run folder, because a finished run is not trained again"
            notes.append(f"{path} is missing or damaged: {back}")
    return notes


class Checkpoints:
    """A run's checkpoints: ``step-….pt`` to resume from; ``best.pt`` and ``last.pt``, weights only.

    ``best-at-….pt`` is a copy of ``best.pt`` from when that step's checkpoint was saved. Steps lost in a kill may have
    replaced ``best.pt``, and repeating them need not give the same result; and one of the two files may be damaged.
    ``model`` is the digest of the model.json that the weights belong to; it is stored with them.
    """

    def __init__(self, folder: Path, say: Callable[[str], None], model: str = "") -> None:
        self.folder, self.model = folder, model
        self._say = say

    def steps(self) -> list[Path]:
        """Return the checkpoints to resume from, oldest first."""
        found = [p for p in self.folder.glob("step-*.pt") if _NAME.fullmatch(p.name)]
        return sorted(found, key=lambda p: int(_NAME.fullmatch(p.name)[1]))  # type: ignore[index]

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the state after ``step`` steps; remove all but the newest two."""
        path = self.folder / f"step-{step:08d}.pt"
        self._keep_best(self._best_at(path))
        save_state(path, state)
        for old in self.steps()[:-KEPT]:
            _remove(old)
        for kept in set(self.folder.glob("best-at-*.pt")) - {self._best_at(path) for path in self.steps()}:
            _remove(kept)
        return path

    def _keep_best(self, kept: Path) -> None:
        best = self.weights_file("best")
        if not best.exists():
            return
        if is_whole(best):
            _put(kept, lambda temporary: shutil.copyfile(best, temporary))
        else:  # a copy would be useless, and an older one may be intact
            self._say(f"Note: {best} does not match its checksum: it is damaged on disk.")

    def newest(self) -> dict[str, Any] | None:
        """Return the newest intact state, or None; damaged files are reported and renamed.

        Without renaming, a damaged file would count as one of those that are kept.
        """
        sweep_temporaries(self.folder)
        for path in reversed(self.steps()):
            try:
                return load_state(path)
            except RunError as error:
                for file in filter(Path.exists, (path, checksum_file(path))):
                    file.replace(file.with_name(file.name + ".damaged"))
                self._say(f"{error.problems[0].what} It is now {path.name}.damaged. Going back to the previous one.")
        return None

    def restore_best(self, step: int) -> None:
        """Restore ``best.pt`` to its content when the checkpoint of ``step`` was saved."""
        best, kept = self.weights_file("best"), self._best_at(self.folder / f"step-{step:08d}.pt")
        if not kept.exists() or (best.exists() and is_whole(best) and file_digest(best) == file_digest(kept)):
            return
        if not is_whole(kept):
            what = f"The checkpoint {kept} is damaged: it does not match its checksum."
            self._say(f"{what} best.pt may come from steps that are repeated now.")
            return
        if best.exists() and not is_whole(best):
            self._say(
                f"The checkpoint {best} is damaged: it does not match its checksum. It is restored from {kept.name}."
            )
        _put(best, lambda temporary: shutil.copyfile(kept, temporary))

    def save_weights(self, name: str, strategy_state: Mapping[str, Any], step: int) -> str:
        """Write ``best`` or ``last``: weights and their step."""
        state = {"strategy": dict(strategy_state), "step": step}
        return save_state(self.weights_file(name), state | ({"model": self.model} if self.model else {}))

    def weights_file(self, name: str) -> Path:
        """Return the path of ``best`` or ``last``."""
        return weights_file(self.folder, name)

    @staticmethod
    def _best_at(path: Path) -> Path:
        return path.with_name(path.name.replace("step", "best-at"))


def _remove(path: Path) -> None:
    path.unlink()
    checksum_file(path).unlink(missing_ok=True)
