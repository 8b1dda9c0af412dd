"""What backbones with five levels require of a patch."""

from semiseg.types import Task

FACTOR = 16
"""Image voxels along each side of a voxel at the lowest of five levels."""


def five_level_problems(task: Task) -> list[str]:
    """Report patch sides not divisible by 16, or a single voxel at the lowest level, which cannot be normalized."""
    problems = [f"{n} is not a multiple of {FACTOR}" for n in task.patch_size if n % FACTOR]
    if not problems and set(task.patch_size) == {FACTOR}:
        problems.append(f"a patch of {FACTOR} voxels leaves a single voxel at the lowest level: double one side")
    return problems
