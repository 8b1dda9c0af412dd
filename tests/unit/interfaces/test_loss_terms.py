import pytest
import torch

from semiseg.interfaces.losses import Losses, Term
from semiseg.testing.strategy import make_batch

BATCH = make_batch(labeled=2, unlabeled=4)


def labeled(*values):
    return Term(torch.tensor(values, requires_grad=True), BATCH.labeled)


def test_a_term_is_the_sum_divided_by_the_count_of_the_whole_step():
    part = BATCH.part(slice(0, 1), slice(0, 0))
    assert Term(torch.tensor([6.0]), part.labeled).mean().item() == 3.0
    assert Term(torch.arange(6.0), BATCH.labeled, BATCH.unlabeled).mean().item() == 2.5
    assert Term(torch.tensor([1.0, 2.0]), BATCH.unlabeled, samples_each=2).mean().item() == 1.5


def test_the_total_is_weighted_and_the_log_is_not():
    losses = Losses({"supervised": labeled(1.0, 3.0), "pseudo": 0.5 * labeled(4.0, 8.0)}, "model")
    assert losses.total.item() == 2 + 0.5 * 6
    assert {name: value.item() for name, value in losses.parts.items()} == {"supervised": 2.0, "pseudo": 6.0}
    assert not any(value.requires_grad for value in losses.parts.values())
    assert losses.updates == {"model"}


def test_terms_add_up_with_their_weights_and_zero_is_neutral():
    term = 0.5 * labeled(1.0, 3.0) + labeled(2.0, 2.0) / 4 + Term()
    assert term.weight == 1
    assert term.mean().item() == 0.5 * 2 + 2 / 4
    assert (2 * term).mean().item() == 1.5
    assert Losses({"a": 2 * term}).total.item() == 3.0


def test_what_adds_nothing_is_logged_beside_the_terms():
    losses = Losses({"supervised": labeled(1.0, 3.0), "pseudo": 0.1 * Term()}, log={"accepted": labeled(0.0, 1.0)})
    assert losses.total.item() == 2
    assert {name: value.item() for name, value in losses.parts.items()} == {
        "supervised": 2.0,
        "pseudo": 0.0,
        "accepted": 0.5,
    }


def test_an_unnamed_loss_has_no_parts():
    assert Losses(labeled(1.0, 3.0)).parts == {}
    assert Losses(labeled(1.0, 3.0)).of_whole_batch == ()
    assert Losses(torch.tensor(1.0)).of_whole_batch == ("loss",)
    sure = Term.of_whole_batch(torch.tensor(1.0))
    assert Losses(labeled(1.0, 3.0), log={"sure": sure}).of_whole_batch == ("sure",)


def test_a_scalar_in_a_sum_makes_the_sum_one_of_the_whole_batch():
    mixed = labeled(1.0, 3.0) + 2 * Term.of_whole_batch(torch.tensor(5.0))
    assert Losses({"supervised": labeled(1.0, 1.0), "mixed": mixed}).of_whole_batch == ("mixed",)
    assert mixed.mean().item() == 12


@pytest.mark.parametrize("values", [torch.tensor(1.0), torch.ones(3), torch.ones(2, 1)])
def test_anything_but_one_value_a_sample_is_refused(values):
    with pytest.raises(ValueError, match=r"one value per sample, \(2,\) for 2 samples, not the shape"):
        Term(values, BATCH.labeled)


def test_mixes_have_half_as_many_values():
    with pytest.raises(ValueError, match=r"one value per 2 samples, \(2,\) for 4 samples"):
        Term(torch.ones(4), BATCH.unlabeled, samples_each=2)


def test_a_whole_batch_term_is_a_scalar_and_losses_have_a_value():
    with pytest.raises(ValueError, match="is a scalar"):
        Term.of_whole_batch(torch.ones(2))
    with pytest.raises(ValueError, match="no value"):
        _ = Losses({"pseudo": Term()}).total


def test_a_term_needs_its_stream():
    with pytest.raises(ValueError, match="needs the stream of its samples"):
        Term(torch.ones(2))


def test_terms_are_summed_and_subtracted():
    one, two = labeled(1.0, 3.0), labeled(2.0, 2.0)
    assert sum([one, two]).mean().item() == 4
    assert Losses(one - 0.5 * two).total.item() == 1
    assert Losses(-one).total.item() == -2
    with pytest.raises(TypeError):
        one + 1


def test_a_weight_that_is_a_parameter_gets_a_gradient_even_at_one():
    weight = torch.ones((), requires_grad=True)
    Losses({"supervised": weight * labeled(1.0, 3.0)}).total.backward()
    assert weight.grad == 2
    weight.grad = None
    Losses(weight * labeled(1.0, 3.0) + Term()).total.backward()
    assert weight.grad == 2


@pytest.mark.parametrize("where", ["terms", "log"])
@pytest.mark.parametrize("value", [torch.tensor(1.0), 1.0])
def test_a_named_value_has_to_be_a_term(where, value):
    values = {"terms": {"supervised": labeled(1.0, 3.0)}, "log": {}}
    values[where] = {**values[where], "share": value}
    with pytest.raises(TypeError, match=f"'share' in Losses is a {type(value).__name__}, not a Term"):
        Losses(**values)


def test_names_that_would_hide_a_value_in_the_log_are_refused():
    term = labeled(1.0, 3.0)
    with pytest.raises(ValueError, match="a term called 'loss'"):
        Losses({"loss": 0.5 * term})
    with pytest.raises(ValueError, match="same name in terms and log: share"):
        Losses({"share": term}, log={"share": term})
