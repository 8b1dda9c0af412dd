"""Which networks the mean of several hides."""

from semiseg.runs.lagging_networks import behind, each_network


def record(epoch, **networks):
    validation = {"mean_dice": 0.8, **({"networks": networks} if networks else {})}
    return {"epoch": epoch, "validation": validation}


PAIR = {"student_a": {"anterior": 0.64, "posterior": 0.80}, "student_b": {"anterior": 0.79, "posterior": 0.81}}


def test_the_last_validation_that_has_them_counts():
    records = [record(1, student_a={"x": 0.1}, student_b={"x": 0.9}), record(2, **PAIR), record(3), {"epoch": 4}]
    assert each_network(records) == PAIR
    assert [str(one) for one in behind(records)] == [
        "student_a alone reaches a Dice of only 0.64 for anterior; the best network reaches 0.79"
    ]
    assert behind(records, by=0.16) == ()


def test_nothing_is_said_of_one_network_or_of_equal_ones():
    assert behind([]) == ()
    assert behind([record(1)]) == ()
    assert behind([record(1, a={"x": 0.5}, b={"x": 0.5})]) == ()


def test_a_class_that_no_case_has_is_left_out():
    assert behind([record(1, a={"x": None, "y": 0.2}, b={"x": None, "y": 0.9})])[0].class_name == "y"
    assert behind([record(1, a={"x": None}, b={"x": 0.9})]) == ()


def test_of_three_each_that_is_behind_is_named():
    found = behind([record(1, a={"x": 0.2}, b={"x": 0.9}, c={"x": 0.7})])
    assert [(one.role, one.dice, one.best) for one in found] == [("a", 0.2, 0.9), ("c", 0.7, 0.9)]
