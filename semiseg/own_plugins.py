"""What the plugin packages of this project hold, so that a name that is not installed is answered with its package.

They lie in ``plugins/`` and are installed apart from semiseg. Other people's packages are known where they are
installed.
"""

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "semiseg-copy-paste": {"strategy": ("bcp", "cps_cutmix"), "recipe": ("bcp", "cps_cutmix")},
    "semiseg-mean-teacher": {
        "strategy": ("ict", "mean_teacher", "ua_mt"),
        "recipe": ("ict", "mean_teacher", "ua_mt"),
    },
    "semiseg-multi-head": {"strategy": ("dtc", "mc_net", "urpc"), "recipe": ("dtc", "mc_net", "urpc")},
    "semiseg-nnunet": {"backbone": ("nnunet_plain", "nnunet_resenc"), "recipe": ("nnunet_cps",)},
}
"""The names of each package by their kind: a component's, or ``recipe``."""


def names_of(kind: str) -> list[str]:
    """All names of a kind that our plugins have."""
    return [name for held in PACKAGES.values() for name in held.get(kind, ())]


def answer(kind: str, name: str) -> tuple[str, str] | None:
    """Which package has a name of this kind, and how to install it; None where none of ours has it.

    It is for names that are not installed.
    """
    for package, held in PACKAGES.items():
        if name in held.get(kind, ()):
            fix = f'From a checkout: pip install plugins/{package}. All of our plugins: pip install "semiseg[methods]".'
            return f"It is in the package {package}: pip install {package}.", fix
    return None
