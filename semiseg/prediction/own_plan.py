"""The plan of a finished run, where its data are at hand."""

from semiseg.pipeline.plan import Plan, make_plan
from semiseg.prediction.ensemble import LoadedRun
from semiseg.recipe.load import load_recipe


def own_plan(run: LoadedRun) -> Plan:
    """Return the run's plan, with its cases. Raises SemisegError if they cannot be found, or have other roles now."""
    plan = make_plan(load_recipe(run.kept.folder.recipe), on_this_machine=False)
    run.kept.folder.require_split(plan.split.as_dict())
    return plan
