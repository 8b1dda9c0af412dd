"""``semiseg plugins`` and ``semiseg schema`` as a newcomer types them."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from semiseg.cli.plugins import commands as plugins
from semiseg.cli.schema import schema
from semiseg.errors import ComponentError

OWN = version("semiseg")
WARM = '''
    """Metrics."""
    import semiseg_warm_dependency_that_is_not_installed
'''
COLD = '''
    """Metrics."""
    from semiseg.interfaces.metric import Metric

    class Cold(Metric):
        """How cold it is.

        Celsius 1742.
        """

        def value(self, pair):
            return 0.0
'''


@pytest.fixture
def call():
    app = typer.Typer()
    app.add_typer(plugins.app, name="plugins")
    app.command()(schema)

    def run(*arguments):
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    return run


def refusal(call, *arguments):
    with pytest.raises(ComponentError) as raised:
        call(*arguments)
    assert raised.value.exit_code == 2
    return str(raised.value)


def lines_of(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_all_components_are_listed_with_package_version_and_first_line(call):
    lines = lines_of(call("plugins"))

    assert lines[0] == "backbone"
    assert (
        f"unet semiseg {OWN} MONAI's residual UNet in 2D or 3D, with the sizes of its tutorials as defaults." in lines
    )
    assert f"supervised semiseg {OWN} One network, trained on labeled cases alone." in lines
    assert [line for line in lines if " " not in line] == [
        "backbone", "dataset", "strategy", "augmentation", "metric", "launcher", "acquisition", "observer", "",
    ]  # fmt: skip


def test_listing_imports_neither_torch_nor_monai_nor_any_component(distribution):
    site = distribution(
        "semiseg-cold",
        {"semiseg.metrics": {"cold": "cold.metric:Cold"}},
        files={"cold/__init__.py": "", "cold/metric.py": COLD},
    )
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "from semiseg.cli.plugins.commands import app\n"
        "try:\n    app([])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'monai', 'torchio', 'cold')"
        " or m.startswith(('semiseg.backbones', 'semiseg.metrics', 'semiseg.strategies'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "How cold it is." in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_stranger_s_first_line_is_read_without_running_its_package(distribution, call):
    distribution(
        "semiseg-cold",
        {"semiseg.metrics": {"cold": "cold.metric:Cold"}},
        files={"cold/__init__.py": "raise RuntimeError('imported')", "cold/metric.py": COLD},
    )

    assert "cold semiseg-cold 1.0 How cold it is." in lines_of(call("plugins"))
    assert "cold" not in sys.modules


VOLUMES = '''
    """A strategy for volumes."""
    from typing import ClassVar

    from semiseg.strategies.cps import CrossPseudoSupervision

    class Volumes(CrossPseudoSupervision):
        """CPS of volumes."""

        spatial_dims: ClassVar[frozenset[int]] = frozenset({3})
'''


def test_a_component_of_one_number_of_axes_is_marked(distribution, call):
    distribution(
        "semiseg-volumes", {"semiseg.strategies": {"volumes": "semiseg_volumes:Volumes"}}, semiseg_volumes=VOLUMES
    )
    assert "volumes semiseg-volumes 1.0 CPS of volumes. (3D only)" in lines_of(call("plugins"))
    assert "Images: 3D only." in lines_of(call("plugins", "show", "volumes"))
    assert "only." not in call("plugins", "show", "cps").partition("Options:")[0]


def test_a_broken_plugin_is_listed_and_the_others_are_shown(distribution, call):
    distribution("semiseg-warm", {"semiseg.metrics": {"warm": "warm:Warm"}}, warm=WARM)
    distribution("semiseg-lost", {"semiseg.metrics": {"lost": "nowhere_at_all.deep:Lost"}})
    distribution("semiseg-odd", {"semiseg.metrics": {"odd": "odd:Odd"}}, odd="class Odd(: pass")
    lines = lines_of(call("plugins"))

    assert "warm semiseg-warm 1.0" in lines
    assert "lost semiseg-lost 1.0" in lines
    assert "odd semiseg-odd 1.0" in lines
    assert call("plugins", "show", "dice").startswith("metric dice\n")


def test_showing_a_broken_plugin_names_it_and_the_cause(distribution, call):
    distribution("semiseg-warm", {"semiseg.metrics": {"warm": "warm:Warm"}}, warm=WARM)

    assert refusal(call, "plugins", "show", "warm") == (
        "metric warm (semiseg-warm 1.0) cannot be imported: ModuleNotFoundError: No module named"
        " 'semiseg_warm_dependency_that_is_not_installed'.\n"
        "    Its entry point is 'warm:Warm'; `pip install --upgrade semiseg-warm` may fix it."
    )


QUITS = """
    print("Welcome!")
    raise SystemExit(3)
"""
SHAPELESS = COLD.replace(
    "class Cold",
    """
    from pydantic import ConfigDict
    from semiseg.interfaces.component import ComponentOptions

    class Odd:
        pass

    class Cold""",
).replace(
    "        def value",
    """
        class Options(ComponentOptions):
            model_config = ConfigDict(arbitrary_types_allowed=True)
            odd: Odd

        def value""",
)


def test_the_schema_can_be_parsed_whatever_plugins_print_or_end(distribution):
    sites = [
        distribution("semiseg-quits", {"semiseg.metrics": {"quits": "quits:Q"}}, quits=QUITS),
        distribution("semiseg-loud", {"semiseg.metrics": {"loud": "loud:Cold"}}, loud=COLD + "\n    print('Hi!')"),
        distribution("semiseg-shapeless", {"semiseg.metrics": {"shapeless": "shapeless:Cold"}}, shapeless=SHAPELESS),
    ]
    code = (
        f"import sys; sys.path[:0] = {[str(site) for site in sites]!r}; sys.argv = ['semiseg', 'schema']\n"
        "from semiseg.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    metric = json.loads(done.stdout)["definitions"]["metric"]["anyOf"]
    assert {"quits", "loud", "shapeless", "dice"} <= set(metric[0]["enum"])
    described = {case["if"]["properties"]["name"]["const"] for case in metric[1]["allOf"]}
    assert described >= {"loud", "dice"}
    assert described.isdisjoint({"quits", "shapeless"})
    assert "Welcome!" in done.stderr
    assert (
        "Note: metric quits (semiseg-quits 1.0) cannot be imported: it ends the process (SystemExit: 3).\n"
    ) in done.stderr
    assert "Note: The options of metric shapeless (semiseg-shapeless 1.0) have no JSON Schema: Pydantic" in done.stderr


def test_a_component_is_shown_with_source_package_and_options(call):
    text = call("plugins", "show", "cps")

    assert text.startswith(f"strategy cps\nsemiseg {OWN}, semiseg.strategies.cps:CrossPseudoSupervision\n\n")
    assert "arXiv:2106.01226" in text
    lines = text.splitlines()
    at = lines.index("  phi: number (at least 0) (default 0.5)")
    assert lines[at + 1] == "      Weight of the pseudo-label loss."
    assert "  wait_epochs: whole number (at least 0) or null (default null)" in lines
    assert "  pseudo_loss: dice or cross_entropy or dice_ce (default dice)" in lines


def test_required_options_and_lists_are_told_in_words(call):
    assert "  root: path (required)" in call("plugins", "show", "folder").splitlines()
    assert "  channels: list of whole number (more than 0) (default [16, 32, 64, 128, 256])" in call(
        "plugins", "show", "unet"
    )


def test_a_component_without_options_says_so(call):
    assert call("plugins", "show", "dice").endswith("No options.\n")


def test_a_name_in_several_kinds_shows_all_and_kind_chooses(distribution, call):
    distribution("semiseg-cold", {"semiseg.metrics": {"cps": "cold:Cold"}}, cold=COLD)
    text = call("plugins", "show", "cps")

    assert text.startswith("strategy cps\n")
    assert "\n\nmetric cps\nsemiseg-cold 1.0, cold:Cold\n\nHow cold it is.\n\nCelsius 1742.\n" in text
    assert call("plugins", "show", "cps", "--kind", "metric").startswith("metric cps\n")


def test_an_unknown_name_is_answered_with_the_nearest_and_all_there_are(call):
    text = refusal(call, "plugins", "show", "cpss")

    assert text.startswith("Unknown component 'cpss'. Did you mean 'cps'?\n    Installed: ")
    assert " unet (backbone), " in text
    told = refusal(call, "plugins", "show", "cpss", "--kind", "strategy")
    assert told.startswith("Unknown strategy 'cpss'. Did you mean 'cps'?\n    Installed: ")
    assert f" cps (semiseg {OWN}), " in told
    assert refusal(call, "plugins", "show", "cps", "--kind", "stratgy") == (
        "Unknown kind 'stratgy'. Did you mean 'strategy'?\n"
        "    Kinds: backbone, dataset, strategy, augmentation, metric, launcher, acquisition, observer."
    )


def test_the_schema_is_printed_or_written(call, tmp_path):
    path = tmp_path / "recipe.schema.json"
    printed = json.loads(call("schema"))
    said = call("schema", "--output", str(path))

    Draft7Validator.check_schema(printed)
    assert json.loads(path.read_text()) == printed
    assert said.splitlines()[-1] == f"# yaml-language-server: $schema={path}"


def test_the_help_says_how_a_recipe_names_its_schema(call):
    assert "# yaml-language-server: $schema=" in call("schema", "--help")
