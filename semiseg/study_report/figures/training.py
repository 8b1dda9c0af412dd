"""Training curves: losses and validation Dice by epoch, of a method and the baseline."""

from semiseg.render.document import Figure
from semiseg.render.figure_style import BASELINE_COLOR, method_look
from semiseg.render.training_curves import TrainingLogs, training_curves
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import method_curve


def training_figure(
    results: StudyResults, labeled: int | None = None, setting: str | None = None, method: str | None = None
) -> Figure | None:
    """Return losses and validation Dice by epoch, with thin lines for seeds and thick ones for means.

    The defaults are the first setting and method that have logs, and the second smallest number of labeled cases. None
    if no such pair has logs.
    """
    found = _choose(results, labeled, setting, method)
    if found is None:
        return None
    baseline, arm = found
    title = f"Training with {arm.labeled} labeled cases" + (f", {arm.setting}" if arm.setting else "")
    color = method_look(results.methods.index(arm.method))["color"]
    looks = ({"color": BASELINE_COLOR, "linestyle": "--"}, {"color": color, "linestyle": "-"})
    return training_curves(title, {each.method: _logs(each) for each in (baseline, arm)}, looks)


def _choose(
    results: StudyResults, labeled: int | None, setting: str | None, method: str | None
) -> tuple[StudyArm, StudyArm] | None:
    for each in results.settings if setting is None else (setting,):
        for name in results.methods if method is None else (method,):
            arms = [arm for arm in method_curve(results, each, name) if arm.logs]
            pairs = [(base, arm) for arm in arms if (base := results.find(each, results.baseline, arm.labeled))]
            pairs = [pair for pair in pairs if pair[0].logs and labeled in (None, pair[1].labeled)]
            if pairs:
                return pairs[min(1, len(pairs) - 1)]
    return None


def _logs(arm: StudyArm) -> TrainingLogs:
    return TrainingLogs(arm.method, arm.labeled, arm.total, arm.logs, "seed or fold" if arm.folds else "seed")
