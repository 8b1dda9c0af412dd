"""Contents of this project's plugin packages, so that an error for a missing name can suggest its package.

The packages are in ``plugins/`` and are installed separately. Third-party packages are found once they are installed.
"""

from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version

PACKAGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "semiseg-adversarial": {"strategy": ("dan", "sassnet"), "recipe": ("dan", "sassnet")},
    "semiseg-copy-paste": {"strategy": ("bcp", "cps_cutmix", "sdcl"), "recipe": ("bcp", "cps_cutmix", "sdcl")},
    "semiseg-mean-teacher": {
        "strategy": ("ad_mt", "ict", "mean_teacher", "ua_mt"),
        "recipe": ("ad_mt", "ict", "mean_teacher", "ua_mt"),
    },
    "semiseg-mlflow": {"observer": ("mlflow",)},
    "semiseg-multi-head": {"strategy": ("dtc", "mc_net", "urpc"), "recipe": ("dtc", "mc_net", "urpc")},
    "semiseg-nnunet": {
        "augmentation": ("nnunet",),
        "backbone": ("nnunet_plain", "nnunet_resenc"),
        "recipe": ("nnunet_cps", "nnunet_like"),
    },
    "semiseg-wandb": {"observer": ("wandb",)},
}
"""The names in each package by kind: a component kind, or ``recipe``."""


def names_of(kind: str) -> list[str]:
    """Return all names of a kind in our plugins."""
    return [name for held in PACKAGES.values() for name in held.get(kind, ())]


def answer(kind: str, name: str) -> tuple[str, str] | None:
    """Return which of our packages has this name and how to install it, or None if none has it.

    Meant for names that are not registered: the package is not installed, or was before it had the name.
    """
    for package, held in PACKAGES.items():
        if name in held.get(kind, ()):
            if there := _version(package):
                again = f"pip install --upgrade --force-reinstall --no-deps {package}"
                what = f"It is in the package {package}, but the installed version {there} does not register it."
                return what, f"Install it again: {again}, from a checkout: pip install plugins/{package}."
            fix = f"From a checkout: pip install plugins/{package}."
            if "observer" not in held:  # trackers are not in the extra
                fix += ' All of our plugins: pip install "semiseg[methods]".'
            return f"It is in the package {package}: pip install {package}.", fix
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def not_installed(kind: str, names: Collection[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return our packages with names of a kind that are not among the installed ``names``, each with these names."""
    lacking = ((p, tuple(name for name in held.get(kind, ()) if name not in names)) for p, held in PACKAGES.items())
    return [(package, missing) for package, missing in lacking if missing]
