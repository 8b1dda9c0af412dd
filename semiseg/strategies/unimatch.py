"""UniMatch: two strong views, and features with dropped channels, against labels from a weak view."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.split import Outputs
from semiseg.strategy_parts.confidence import PseudoLabels
from semiseg.strategy_parts.feature_dropout import FeatureDropout, feature_seeds, with_dropped_features
from semiseg.strategy_parts.mixing import Bounds
from semiseg.strategy_parts.ramps import weight_at
from semiseg.strategy_parts.self_labeling import SHORT, SelfLabeling, SelfLabelingOptions, Share
from semiseg.strategy_parts.streams import supervised_loss
from semiseg.strategy_parts.views import WeakView, WeakViewOptions, strong_view

Rate = Annotated[float, Field(gt=0, lt=1)]


class UniMatchOptions(WeakViewOptions, SelfLabelingOptions):
    """Options of UniMatch."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the mean loss of the two strong views, after the ramp-up."""
    feature_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the loss of separately dropped features, relative to ``weight``."""
    feature_dropout: FeatureDropout = "separate"
    """separate: the weak view's features are decoded once more with dropped channels (UniMatch). complementary: of each
    channel one strong view has twice the value, and the other none (UniMatch V2)."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = (0.5,)
    """Shares of channels that are dropped, with ``feature_dropout: separate``; each is a decoding of its own."""
    pseudo_loss: Literal["cross_entropy", "dice", "dice_ce"] = "dice"
    """Loss against pseudo-labels, over the accepted voxels."""
    weak_view: WeakView = "geometry"
    """The weak view: the sample with the zooms, rotations and flips of the recipe's augmentation (geometry), or with
    its changes of intensities, too (recipe)."""
    strength: Annotated[float, Field(ge=0)] = 1.0
    """Strength of the strong views' intensity changes."""
    cutmix: Share = 0.5
    """Probability that a box of a strong view and of its label is that of the other unlabeled sample of a pair
    (CutMix); above 0, unlabeled samples are drawn in pairs."""
    cutmix_side: Bounds = (0.15, 0.65)
    """Bounds of the sides of that box, as fractions of the patch's."""

    @model_validator(mode="after")
    def _rates_are_used(self) -> Self:
        if self.feature_dropout != "separate" and self.rates != (0.5,):
            raise ValueError("rates are for feature_dropout: separate")
        return self


class UniMatch(SelfLabeling[UniMatchOptions]):
    """UniMatch: labels from a weak view for two strong views, and for the weak view with dropped features.

    Yang et al. 2023 (arXiv:2208.09910), as in its public code for medical images (LiheYoung/UniMatch at 0324f3d,
    more-scenarios/medical/unimatch.py): L = 1/2 [Lx + 1/4 L(s1) + 1/4 L(s2) + 1/2 L(fp)], where Lx is half the sum of
    Dice and cross entropy, and the others are the Dice of voxels with a confidence of at least 0.95. Here Lx is the
    sum, so that weights of 1 give four times that loss. Labels are the argmax of the forward pass of the weak view,
    without gradient; strong views change intensities and have a box of another unlabeled sample's view and label
    (CutMix). There is no ramp-up.

    Differences: the other sample of CutMix is one of the same step, as in V2, and not of a stream of its own, whose
    labels the public code makes in another mode of the network; the box's sides are 0.15 to 0.65 of the patch's, there
    its area 2 to 40 %; intensities change as in our FixMatch, there by brightness, contrast and blur; Dice losses have
    no squares (``training.dice``). The public code selects the checkpoint on validation and test cases together.

    Variants: UniMatch V2 (Yang et al. 2025, arXiv:2410.10777; LiheYoung/UniMatch-V2) is ``feature_dropout=
    complementary, labels_from=teacher, decay=0.996, teacher_mode=eval, buffers=ema, pseudo_loss=cross_entropy,
    loss=cross_entropy``. Two rates, ``rates=[0.25, 0.75]``, are the dropped features of CrossMatch.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "short": SHORT}

    @classmethod
    def built(cls, role: Role, options: UniMatchOptions) -> Role:
        """Return the role; features are dropped in the model only, and the teacher's weights have the same names."""
        if options.feature_dropout == "none":
            return role
        rates = options.rates if options.feature_dropout == "separate" else ()
        network = with_dropped_features(options.feature_dropout, rates)
        return replace(role, network=network, requires=role.requires | {"split"})

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus those of two strong views, and of the weak view with dropped features."""
        o, unlabeled = self.options, batch.unlabeled
        seeds = feature_seeds(unlabeled.slots, step, "unimatch/features")
        none, separate = seeds[:0], o.feature_dropout == "separate"
        complementary = seeds if o.feature_dropout == "complementary" else none
        if separate or o.labels_from == "model":
            first = self._run(batch.images(), seeds if separate else none)
            labeled, weak = batch.divide(first.logits)
            labels = self.labels_of(weak) if o.labels_from == "model" else self.label(batch)
            views = self._strong(labels, batch, step)
            images = torch.cat([image for image, _ in views])
            strong = self._run(images, complementary).logits if len(images) else weak
            dropped = first.decoders
        else:
            labels = self.label(batch)
            views = self._strong(labels, batch, step)
            images = torch.cat([batch.labeled.image, *(image for image, _ in views)])
            logits = self._run(images, complementary).logits
            labeled, strong, dropped = logits[: len(batch.labeled)], logits[len(batch.labeled) :], ()
        terms = {"supervised": supervised_loss(labeled, batch, o.loss, self.coding)}
        weight = weight_at(o, step, o.wait_share)
        pairs = zip(strong.tensor_split(len(views)), (target for _, target in views), strict=True)
        of_views = [target.loss(one, o.pseudo_loss, self.coding) for one, target in pairs]
        terms["strong"] = weight * Term(torch.stack(of_views).mean(dim=0), unlabeled)
        if separate:
            of_rates = [labels.loss(one, o.pseudo_loss, self.coding) for one in dropped] or of_views
            terms["features"] = weight * o.feature_weight * Term(torch.stack(of_rates).mean(dim=0), unlabeled)
        yield Losses(terms, "model", log={"accepted": Term(labels.accepted_share(), unlabeled)})

    def _strong(self, labels: PseudoLabels, batch: Batch, step: Step) -> list[tuple[Tensor, PseudoLabels]]:
        """Return two strong views of the unlabeled samples, each with its labels."""
        images, slots = batch.unlabeled.image, batch.unlabeled.slots
        found = []
        for name in ("unimatch/1", "unimatch/2"):
            view = strong_view(images, slots, step, name, self.options.strength)
            found.append(self.mixed(view, labels, batch, step, f"{name}/cutmix"))
        return found

    def _run(self, images: Tensor, seeds: tuple[int, ...]) -> Outputs:
        """Run the model, with dropped features of the last samples for which there are seeds."""
        return self.outputs("model", images, torch.tensor(seeds)) if seeds else self.outputs("model", images)
