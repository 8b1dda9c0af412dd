from collections.abc import Mapping
from typing import Generic, TypeVar

import pytest

from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy, StrategyOptions


class First(StrategyOptions):
    weight: float = 1.0


class Second(First):
    decay: float = 0.9


OptionsT = TypeVar("OptionsT", bound=First)
ValueT = TypeVar("ValueT")


class Parts(Generic[ValueT]):
    """Something else that is generic."""


class Base(Strategy[OptionsT], Generic[OptionsT, ValueT]):
    """A base of other strategies, with two parameters."""


def test_options_are_those_of_the_strategy_and_not_another_type_argument():
    class Mixed(Strategy[First], Parts[int]):
        pass

    class Concrete(Base[Second, int]):
        pass

    class Below(Concrete):
        pass

    class Nested(Concrete):
        class Options(Second):
            more: int = 1

    assert Mixed.Options is First
    assert Concrete.Options is Below.Options is Second
    assert Nested.Options().model_dump() == {"weight": 1.0, "decay": 0.9, "more": 1}


def test_the_name_of_an_options_class_is_refused():
    with pytest.raises(TypeError, match=r"Named: Strategy.* takes the class of its options, not its name"):

        class Named(Strategy["First"]):
            pass


def test_a_role_takes_its_initial_weights_from_one_place():
    def pretrained() -> Mapping[str, object]:
        return {}

    with pytest.raises(ValueError, match="role teacher takes either initial_weights or those of student"):
        Role("teacher", initialized_like="student", initial_weights=pretrained)
