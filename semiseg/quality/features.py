"""The encoder whose features tell cases unlike a run's own."""

from semiseg.inference.image import Member
from semiseg.interfaces.split import SplitNetwork


def feature_role(member: Member) -> str | None:
    """Return a model's first predicting role whose encoder gives features; None if there is none."""
    strategy = member.predictor.strategy
    return next((role for role in strategy.predicting if isinstance(strategy.networks[role], SplitNetwork)), None)
