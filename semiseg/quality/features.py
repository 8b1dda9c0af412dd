"""The encoder whose features tell cases unlike a run's own."""

from semiseg.inference.image import Ensemble
from semiseg.interfaces.split import SplitNetwork


def feature_role(ensemble: Ensemble) -> str | None:
    """Return the predicting role of the first member whose encoder gives features; None if there is none."""
    strategy = ensemble.members[0].predictor.strategy
    return next((role for role in strategy.predicting if isinstance(strategy.networks[role], SplitNetwork)), None)
