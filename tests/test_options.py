"""Signature and docstring of what ``**options`` takes."""

from inspect import getdoc, signature
from typing import get_type_hints

import pytest
from sklearn.base import BaseEstimator, clone

from featad import BackboneFeatures, VGGFeatures
from featad._options import inherit_options
from featad.features.network import NetworkFeatures
from featad.features.options import BackboneOptions, NetworkOptions


class Base(BaseEstimator):
    """Do something.

    Parameters
    ----------
    size : int, default=1
        How large.

    name : str, default="a"
        How it is called.

    Attributes
    ----------
    size_ : int
        How large it is.
    """

    def __init__(self, size=1, *, name="a"):
        self.size = size
        self.name = name

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        inherit_options(cls)


class Plain:
    """A mixin without parameters."""

    def hello(self):
        return "hello"


class Loud:
    """A mixin with a parameter.

    Parameters
    ----------
    volume : float, default=0.5
        How loud.
    """

    def __init__(self, *, volume=0.5, **options):
        super().__init__(**options)
        self.volume = volume


class Child(Base):
    """Do something else.

    Parameters
    ----------
    depth : int, default=3
        How deep.
    """

    def __init__(self, depth=3, *, name="b", **options):
        super().__init__(name=name, **options)
        self.depth = depth


def parameters(cls):
    return {name: p.default for name, p in signature(cls).parameters.items()}


def test_the_signature_gets_what_the_class_does_not_name():
    assert parameters(Child) == {"depth": 3, "name": "b", "size": 1}
    assert str(signature(Child)) == "(depth=3, *, name='b', size=1)"


def test_get_params_and_clone_see_all_of_it():
    child = clone(Child(5, size=2))
    assert child.get_params() == {"depth": 5, "name": "b", "size": 2}


def test_the_docstring_gets_the_entries_in_the_order_of_the_signature():
    text = getdoc(Child)
    places = [text.index(f"\n{name} : ") for name in ("depth", "name", "size", "size_")]
    assert places == sorted(places)


def test_the_documented_default_is_the_class_s_own():
    assert 'name : str, default="b"' in getdoc(Child)
    assert 'name : str, default="a"' in getdoc(Base)


def test_a_class_without_an_init_gets_the_entries_alone():
    class Heir(Child):
        """Do a third thing."""

    assert parameters(Heir) == parameters(Child)
    assert "How large it is." in getdoc(Heir)


def test_a_mixin_may_stand_before_the_base():
    class Mixed(Plain, Base):
        """Do something with a mixin."""

        def __init__(self, depth=3, **options):
            super().__init__(**options)
            self.depth = depth

    assert parameters(Mixed) == {"depth": 3, "size": 1, "name": "a"}
    assert clone(Mixed(size=4)).size == 4
    assert "How large." in getdoc(Mixed)


def test_a_mixin_before_the_base_may_have_parameters():
    class Mixed(Loud, Base):
        """Do something loudly."""

        def __init__(self, depth=3, **options):
            super().__init__(**options)
            self.depth = depth

    expected = {"depth": 3, "volume": 0.5, "size": 1, "name": "a"}
    assert parameters(Mixed) == expected
    assert clone(Mixed(volume=1.0, size=2)).get_params() == expected | {
        "volume": 1.0,
        "size": 2,
    }
    assert "How loud." in getdoc(Mixed)
    assert "How large." in getdoc(Mixed)
    assert "options" in signature(Loud).parameters  # for other classes


def test_a_mixin_with_parameters_needs_an_init_behind_it():
    with pytest.raises(TypeError, match="Mixed needs an __init__ of its own"):

        class Mixed(Loud, Base):
            pass


def test_a_foreign_option_is_refused():
    with pytest.raises(TypeError, match="colour"):
        Child(colour="red")


def test_vgg_features_have_the_parameters_of_backbone_features():
    assert list(parameters(VGGFeatures)) == list(parameters(BackboneFeatures))
    features = VGGFeatures("vgg11", layer="conv1_1", batch_size=3)
    assert clone(features).get_params() == features.get_params()


def test_every_parameter_of_vgg_features_is_documented():
    text = getdoc(VGGFeatures)
    assert [n for n in parameters(VGGFeatures) if f"\n{n} : " not in text] == []
    assert "\nweights_fingerprint_ : str\n" in text


def test_type_checkers_know_the_parameters_of_backbone_features():
    hints = get_type_hints(NetworkFeatures.__init__)
    del hints["arch"], hints["layer"], hints["return"]  # a subclass names them itself
    assert get_type_hints(NetworkOptions) == hints
    own = get_type_hints(BackboneFeatures.__init__)
    del own["arch"], own["layer"], own["return"], own["options"]
    assert get_type_hints(BackboneOptions) == own | hints
